"""The model of time: what the committed measurements say, carried to other methods, shapes and devices."""

import dataclasses
import statistics
import subprocess
import sys
from pathlib import Path

import fit_time_model
import numpy as np
import pytest
import speed_rows
import time_passes
import unseen
from support import KNOBS

from harness import methods
from harness.attention import LayerShape
from harness.forecast.device import CPU, DEVICES, MEASURED, SEARCHES, Device, ModelSize, Traffic
from harness.forecast.time_model import UNMEASURED, Choosing, Reading, Search, TimeModel
from harness.sweep.traffic import traffic_of

ROOT = Path(__file__).parents[2]
LAYERS = (LayerShape(8, 128, group=4),) * 32
LLAMA = ModelSize(parameters=7e9, layers=32, kv_heads=8, group=4)
PLAIN = Reading(fixed_us=0.0, chain_us_per_kb=0.0, share=1.0)
EMPTY = TimeModel(
    weights_share=0.5, prefill_share=0.5, call_us=0.0, reading=PLAIN, torch=PLAIN, dense={},
    choosing=Choosing(0.0, 0.0, 0.0, {UNMEASURED: 1.0}),
)  # fmt: skip


def test_the_stored_constants_are_what_the_fit_gives():
    done = subprocess.run([sys.executable, ROOT / "scripts" / "fit_time_model.py", "--check"], check=False)
    assert done.returncode == 0


@pytest.mark.parametrize("step", list(fit_time_model.steps(TimeModel.stored())), ids=lambda step: step[0])
def test_steps_of_a_whole_model_that_the_kernels_were_not_fitted_on_are_predicted_within_a_quarter(step):
    _, predicted, measured = step
    assert predicted == pytest.approx(measured, rel=0.25)


UNLIKE_OTHERS = {"ada_kv", "fp8", "kivi"}
"""Counting what is moved in every step, codes of other kinds: nothing else that was measured is like them."""


def test_a_method_with_a_kernel_is_predicted_within_a_quarter_by_a_fit_without_it_if_another_is_like_it():
    found = unseen.left_out(speed_rows.ours(speed_rows.measured()))
    typical = {name: statistics.median(ratios) for name, ratios in found.items() if name.startswith("method ")}
    assert len(typical) >= 6
    off = {name.removeprefix("method ") for name, ratio in typical.items() if abs(ratio - 1) > 0.25}
    assert off == UNLIKE_OTHERS


@pytest.mark.parametrize(("family", "most"), [("controls", 0.0), ("selection", 0.05), ("eviction", 0.3)])
def test_a_family_is_predicted_within_a_quarter_by_a_fit_without_it_but_for_a_few_lines(family, most):
    found = unseen.left_out(speed_rows.ours(speed_rows.measured()))[f"family {family}"]
    assert sum(abs(ratio - 1) > 0.25 for ratio in found) <= most * len(found)
    assert statistics.median(found) == pytest.approx(1, abs=0.1)


def test_another_card_is_predicted_within_a_quarter_by_its_data_sheet():
    found = unseen.left_out(speed_rows.ours(speed_rows.measured()))
    assert statistics.median(found["card H100"]) == pytest.approx(1, abs=0.25)


def test_a_fit_finds_the_constants_of_times_that_follow_them():
    truth = dataclasses.replace(
        EMPTY,
        reading=Reading(9.0, 0.002, 0.8),
        choosing=Choosing(
            7.0, 0.2, 3.0, {"keys": 0.6, "channels": 0.9, "index": 0.7},
            {"whole": Search(3.0, 9.0), "digits": Search(20.0, 5.0)},
        ),
        codes_us_per_million=0.5,
        meter_us=30.0,
    )  # fmt: skip
    chance = np.random.default_rng(0)
    rows = []
    for access in ("all", "keys", "channels", "index") * 15:
        size = ModelSize(0.0, 1, int(chance.integers(1, 33)), group=int(chance.integers(1, 5)))
        choose, attend, codes, entries = chance.uniform(1e4, 1e8, 4)
        search, metered = str(chance.choice(SEARCHES)), bool(chance.integers(2))
        codes *= access == "all"
        traffic = Traffic("m", access, choose, attend, 0.0, entries / 1e3, True, search, codes, metered)
        count = int(chance.integers(1, 65))
        us = 1e6 * truth.attention_seconds(MEASURED, size, traffic, count)
        rows.append(speed_rows.Measured(MEASURED, size, traffic, count, "triton", us))
    found = time_passes.shared_path(rows)
    assert found["reading"] == pytest.approx(dataclasses.asdict(truth.reading), rel=1e-3)
    assert (found["codes_us_per_million"], found["meter_us"]) == pytest.approx((0.5, 30.0), rel=1e-3)
    choosing, terms = Choosing.of(found["choosing"]), ("fixed_us", "us_per_kiloentry", "us_per_million_weights")
    assert choosing.share == pytest.approx(truth.choosing.share, rel=1e-3)
    assert [getattr(choosing, term) for term in terms] == pytest.approx([7.0, 0.2, 3.0], rel=1e-3)
    for search, expected in truth.choosing.searches.items():
        assert dataclasses.astuple(choosing.searches[search]) == pytest.approx(dataclasses.astuple(expected), rel=1e-2)


@pytest.mark.parametrize("device", DEVICES, ids=lambda device: device.name)
def test_every_method_has_a_time_on_every_device(device):
    model = TimeModel.stored()
    reads = [traffic_of(name, methods.create(name, **knobs), LAYERS, 8192, 2) for name, knobs in KNOBS.items()]
    assert {read.method for read in reads} == set(methods.runnable())
    times = {read.method: model.attention_seconds(device, LLAMA, read, 4) for read in reads}
    assert {name: seconds for name, seconds in times.items() if not 0 < seconds < 60} == {}


def test_a_method_without_a_kernel_and_any_method_on_a_cpu_is_launched_and_passes_the_whole_cache():
    model = dataclasses.replace(EMPTY, torch=Reading(fixed_us=10.0, chain_us_per_kb=0.0, share=0.5))
    device, size = Device("d", 1.0, 2e9, 1e9), ModelSize(parameters=1.0, layers=4, kv_heads=2)
    served, plain = (Traffic("m", "index", 1e3, 2e3, 8e3, 50.0, by_kernel) for by_kernel in (True, False))
    launched = 4 * 10e-6 + 3 * 11e3 / 1e9
    assert model.attention_seconds(device, size, plain, 3) == pytest.approx(launched)
    assert model.attention_seconds(device, size, served, 3) == pytest.approx(3 * 3e3 / 2e9)
    assert not CPU.kernels
    without = dataclasses.replace(device, kernels=False)
    assert model.attention_seconds(without, size, served, 3) == pytest.approx(launched)


def test_choosing_costs_its_launch_its_search_its_bytes_and_softmax_weights_to_choose_by():
    choosing = Choosing(5.0, us_per_kiloentry=2.0, us_per_million_weights=3.0, share={UNMEASURED: 0.5, "keys": 0.25})
    device, size = Device("d", 1.0, 1e9, 1e9), ModelSize(parameters=1.0, layers=4, kv_heads=2, group=3)
    seconds, weighing = (4 * 5 + 2 * 7) / 1e6, 3 * 10 * 7e3 * 6 / 1e12
    for access, share, weighed in (("channels", 0.5, 0), ("index", 0.5, 0), ("keys", 0.25, weighing)):
        traffic = Traffic("m", access, 4e5, 0.0, 0.0, scored=7e3)
        assert choosing.seconds(device, size, traffic, 10) == pytest.approx(
            seconds + weighed + 10 * 4e5 / (share * 1e9)
        )
    assert choosing.seconds(device, size, Traffic("m", "history", 4e5, 0.0, 0.0, scored=7e3), 10) == 0
    assert choosing.seconds(device, size, Traffic("m", "index", 0.0, 4e5, 0.0, scored=7e3), 10) == 0


def test_codes_cost_what_their_reading_back_takes_beside_their_bytes():
    model = dataclasses.replace(EMPTY, codes_us_per_million=4.0)
    device, plain = Device("d", 1.0, 1e9, 1e9), Traffic("m", "all", 0.0, 1e6, whole=8e6, scored=1.0)
    coded = dataclasses.replace(plain, codes=4e6)
    seconds = [model.attention_seconds(device, LLAMA, of, 2) for of in (plain, coded)]
    assert seconds == pytest.approx([2e-3, 2e-3 + 2 * 4e6 * 4 / 1e12])  # of two rows


def test_counting_what_is_moved_costs_its_launches_in_every_layer():
    model, device = dataclasses.replace(EMPTY, meter_us=30.0), Device("d", 1.0, 1e9, 1e9)
    metered = Traffic("m", "all", 0.0, 1e6, whole=8e6, scored=1.0, metered=True)
    assert model.attention_seconds(device, LLAMA, metered, 2) == pytest.approx(2e-3 + 32 * 30e-6)


def test_a_search_for_many_costs_its_launch_and_every_entry_beside():
    model, device = Choosing(0.0, 0.0, 0.0, {UNMEASURED: 1.0}, {"whole": Search(3.0, 5.0)}), Device("d", 1.0, 1e9, 1e9)
    size, few = ModelSize(parameters=1.0, layers=4, kv_heads=2), Traffic("m", "index", 4e5, 0.0, 0.0, scored=7e3)
    many = dataclasses.replace(few, search="whole")
    beside = model.seconds(device, size, many, 10) - model.seconds(device, size, few, 10)
    assert beside == pytest.approx((4 * 3 + 10 * 7e3 * 2 * 5 / 1e6) / 1e6)


def test_what_history_reads_to_choose_is_read_with_the_rest():
    model, device = EMPTY, Device("d", 1.0, 1e9, 1e9)
    assert model.attention_seconds(device, LLAMA, Traffic("m", "history", 4e5, 6e5, 9e9, 1.0), 2) == pytest.approx(2e-3)


def test_another_device_keeps_the_latencies_and_scales_the_bytes():
    reading = Reading(fixed_us=10.0, chain_us_per_kb=0.5, share=0.5)
    size = ModelSize(parameters=1.0, layers=4, kv_heads=2)
    fast, slow = (Device("d", 1.0, bandwidth, 1e9) for bandwidth in (2e9, 1e9))
    latency = 4 * 10e-6 + 0.5e-6 * (8000 / 2 / 1000)
    assert reading.seconds(fast, size, 8000, 3) == pytest.approx(latency + 24000 / 1e9)
    assert reading.seconds(slow, size, 8000, 3) == pytest.approx(latency + 24000 / 0.5e9)


def test_weights_are_read_once_for_few_rows_and_multiplied_with_many():
    device, size = Device("d", flops=8e12, bandwidth=2e12, memory=1e9), ModelSize(parameters=1e9, layers=1, kv_heads=1)
    assert EMPTY.linear_seconds(device, size, 1) == EMPTY.linear_seconds(device, size, 4) == pytest.approx(2e-3)
    assert EMPTY.linear_seconds(device, size, 40) == pytest.approx(2 * 1e9 * 40 / 4e12)
    assert EMPTY.prefill_seconds(device, 4e12) == pytest.approx(1.0)
