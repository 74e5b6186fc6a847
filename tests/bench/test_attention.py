"""`harness bench attention`: a line for everything that was asked for, with a time or the reason why there is none."""

import subprocess
import sys

import pandas as pd
import pytest
import torch
from support.kernels import DEVICE

from harness.__main__ import main
from harness.bench import workload
from harness.bench.attention import bench_attention
from harness.bench.cases import Layout
from harness.bench.columns import columns
from harness.bench.row import AttentionRow

SMALL = ["--batch", "1", "--s", "64", "--heads", "2", "--d", "16", "--dtype", "float32", "--samples", "1"]


def small(**more):
    given = {"s": [16], "batch": [1], "method": ["sparq"], "r": [4], "k": [4], "heads": 2, "d": 16, "samples": 1}
    return bench_attention(**{**given, "dtype": "float32", "device": "cpu", "kernel": "torch", **more})


def test_a_row_for_every_combination_and_dense_backend():
    table = small(s=[16, 32], method=["sparq", "h2o"], r=[4, 8])
    assert list(table) == list(columns(AttentionRow))
    timed = table[table["status"] == "ok"]
    assert len(timed[timed["method"] == "sparq"]) == 4
    assert len(timed[timed["method"] == "h2o"]) == 2
    assert (timed["us"] > 0).all() and (timed["error"] < 1e-4).all() and (timed["compared"] == 1).all()
    assert (table["bytes"] > 0).all()
    dense = timed[(timed["method"] == "dense") & (timed["s"] == 16)]
    assert dense["speedup"].max() == 1


def test_a_backend_that_refuses_has_a_line_of_its_own():
    table = small().set_index("path")
    refused = table.loc["sdpa cudnn"]
    assert refused["status"] == "unsupported" and refused["note"]
    assert refused[["us", "error", "speedup"]].isna().all()


def test_a_method_that_is_wrong_has_an_error_and_no_time(monkeypatch):
    def wrong(*given, **knobs):
        call = right(*given, **knobs)
        return lambda: 1.5 * call()

    right = workload.method_call
    monkeypatch.setattr(workload, "method_call", wrong)
    (row,) = small().query("method == 'sparq'").to_dict("records")
    assert row["status"] == "wrong" and row["error"] == pytest.approx(0.5, abs=1e-4)
    assert pd.isna(row["us"]) and pd.isna(row["gbps"]) and pd.isna(row["speedup"])


def test_inputs_that_do_not_fit_into_memory_are_said_in_every_line(monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("Tried to allocate 4 GiB")

    monkeypatch.setattr(Layout, "buffers", full)
    table = small()
    assert set(table["status"]) == {"out_of_memory"} and set(table["note"]) == {"Tried to allocate 4 GiB"}
    assert len(table[table["method"] == "sparq"]) == 1


@pytest.mark.usefixtures("triton")
def test_a_method_without_a_kernel_is_unsupported_by_triton():
    table = small(method=["lru", "dense"], kernel="triton", device=DEVICE)
    status = table.set_index(["method", "path"])["status"]
    assert status["lru", "triton"] == "unsupported"
    assert status["dense", "triton"] == "ok"


def test_k_is_stored_twice_for_methods_that_read_channels_only():
    table = small(method=["sparq", "h2o"], k_stored=[1, 2])
    assert table[table["path"] == "torch"].groupby("method")["k_stored"].apply(list).to_dict() == {
        "h2o": [1],
        "sparq": [1, 2],
    }


def test_a_csv_holds_every_column_and_figures_read_it(tmp_path, capsys):
    file = tmp_path / "a.csv"
    assert main(["bench", "attention", *SMALL, "--device", "cpu", "--kernel", "torch", "--out", str(file)]) == 0
    assert list(pd.read_csv(file)) == list(columns(AttentionRow))
    assert "unsupported" in capsys.readouterr().out
    assert main(["figures", "fig-attention-time", "--bench", str(file), "--out", str(tmp_path / "figures")]) == 0


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("attention --method nope", "unknown method 'nope'"),
        ("attention --dtype int7", "no element type"),
        ("attention --batch 0", "batch must be at least 1"),
        ("attention --s 2", "s must be at least 3"),
        ("attention --heads 6 --kv-heads 4", "6 query heads cannot share 4 KV heads"),
        ("attention --kv-heads 0", "kv_heads must be at least 1"),
        ("attention --k-stored 3", "K is stored once or twice"),
        ("attention --device tpu", "--device=tpu is unknown: choose from auto, cpu, cuda, cuda:N"),
        ("attention --samples 0", "samples must be at least 1"),
        ("attention --k 0", "at least 1"),
        ("generate --model nope", "unknown model 'nope'"),
        ("generate --ratio 0", "ratio must be at least 1"),
        ("generate --batch 0", "batch must be at least 1"),
        ("generate --s 2", "s must be at least 3"),
    ],
)
def test_what_cannot_be_timed_is_refused(command, reason, capsys):
    what, *rest = command.split()
    given = [what, *(SMALL if what == "attention" else []), *rest]
    assert main(["bench", *given]) == 2
    assert reason in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to check")
def test_the_gpu_check_says_what_it_lacks(repository):
    command = [sys.executable, repository / "scripts/gpu_check.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("error: kernel=triton cannot be used") and done.stdout.count("\n") == 1
