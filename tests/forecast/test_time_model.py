"""The model of time: what the committed measurements say, carried to other shapes and devices."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from harness import methods
from harness.forecast.time_model import DEVICES, MEASURED, Attention, Device, ModelSize, TimeModel
from harness.methods.about import Access

ROOT = Path(__file__).parents[2]
LLAMA = ModelSize(parameters=6.607e9, layers=32, kv_heads=32)
DENSE_BYTES = (2 * 8192 * 128 + 2 * 128) * 32 * 32 * 2


def generated():
    return pd.read_csv(ROOT / "docs" / "speed" / "generate.csv").to_dict("records")


def test_the_stored_constants_are_what_the_fit_gives():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "fit_time_model.py", "--check"], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("row", generated(), ids=lambda row: f"{row['method']} {row['backend']}")
def test_steps_of_a_whole_model_that_the_kernels_were_not_fitted_on_are_predicted_within_a_quarter(row):
    model, moved = TimeModel.stored(), DENSE_BYTES / row["compression"]
    kernel = model.kernel(methods.find(row["method"]).about.access, row["backend"].replace("-", " "))
    seconds = model.linear_seconds(MEASURED, LLAMA, 16) + kernel.seconds(MEASURED, LLAMA, moved, 16)
    assert seconds * 1e3 == pytest.approx(row["ms_per_token"], rel=0.25)


def test_every_access_pattern_has_a_time_on_every_device():
    model = TimeModel.stored()
    times = [model.attention_seconds(d, LLAMA, access, 1e6, 8) for d in DEVICES for access in get_args(Access)]
    assert all(0 < seconds < 1 for seconds in times)


def test_another_device_keeps_the_latencies_and_scales_the_bytes():
    kernel = Attention(fixed_us=10.0, chain_us_per_kb=0.5, share=0.5)
    size = ModelSize(parameters=1.0, layers=4, kv_heads=2)
    fast, slow = (Device("d", 1.0, bandwidth, 1e9) for bandwidth in (2e9, 1e9))
    latency = 4 * 10e-6 + 0.5e-6 * (8000 / 2 / 1000)
    assert kernel.seconds(fast, size, 8000, 3) == pytest.approx(latency + 24000 / 1e9)
    assert kernel.seconds(slow, size, 8000, 3) == pytest.approx(latency + 24000 / 0.5e9)


def test_weights_are_read_once_for_few_rows_and_multiplied_with_many():
    model = TimeModel(weights_share=0.5, prefill_share=0.5, call_us=0.0, attention={})
    device, size = Device("d", flops=8e12, bandwidth=2e12, memory=1e9), ModelSize(parameters=1e9, layers=1, kv_heads=1)
    assert model.linear_seconds(device, size, 1) == model.linear_seconds(device, size, 4) == pytest.approx(2e-3)
    assert model.linear_seconds(device, size, 40) == pytest.approx(2 * 1e9 * 40 / 4e12)
    assert model.prefill_seconds(device, 4e12) == pytest.approx(1.0)
