"""What is timed is one and the same step, however often; what cannot be timed is refused in a sentence."""

import subprocess
import sys

import pytest
import torch
from support import KNOBS
from support.kernels import DEVICE

from harness import methods
from harness.__main__ import main
from harness.attention.scores import Scores
from harness.bench.attention import bench_attention
from harness.bench.cases import Layout, method_call, repeated, whole_step
from harness.kernels import find_binding

LAYOUT = Layout(2, 60, 4, 2, 16, torch.float32)
SERVED = [name for name, knobs in KNOBS.items() if find_binding(methods.create(name, **knobs))]
SHALLOW = KNOBS | {"low_rank": {"r": 3, "k": 6, "reallocate": False}}
"""Methods whose state is copied whole by copy.copy; the mean within low_rank's goes on, which costs the same."""
SMALL = ["--batch", "1", "--s", "64", "--heads", "2", "--d", "16", "--dtype", "float32", "--samples", "1"]


@pytest.mark.parametrize("name", SHALLOW)
def test_a_step_in_torch_can_be_repeated(name):
    step = whole_step(LAYOUT.buffers(torch.device(DEVICE)), Scores(0.25))
    call = repeated(methods.create(name, **SHALLOW[name]), step)
    assert torch.equal(call(step), call(step))


@pytest.mark.parametrize("name", SERVED)
def test_a_step_of_a_kernel_can_be_repeated(name):
    call = method_call(name, LAYOUT.buffers(torch.device(DEVICE)), "triton", **KNOBS[name])
    assert torch.equal(call(), call())


def test_h2o_is_timed_after_the_prompt_was_cut_down():
    method = methods.create("h2o", k=6)
    seen = []

    class Spied(type(method)):
        def choose(self, score, column, n):
            seen.append(score.shape[2])
            return super().choose(score, column, n)

    step = whole_step(LAYOUT.buffers(torch.device("cpu")), Scores(0.25))
    call = repeated(Spied(k=6), step)
    call(step)
    call(step)
    assert seen == [59, 8, 8]


def test_a_row_for_every_combination_and_dense_backend():
    table = bench_attention(
        s=[16, 32], batch=[1], method=["sparq", "h2o"], r=[4, 8], k=[4], heads=2, d=16, dtype="float32",
        device="cpu", kernel="torch", samples=2,
    )  # fmt: skip
    assert len(table[table["method"] == "sparq"]) == 4
    assert len(table[table["method"] == "h2o"]) == 2
    assert (table["us"] > 0).all() and (table["bytes"] > 0).all()
    dense = table[(table["method"] == "dense") & (table["s"] == 16)]
    assert dense["speedup"].max() == 1


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("attention --method nope", "unknown method 'nope'"),
        ("attention --dtype int7", "no element type"),
        ("attention --batch 0", "batch must be at least 1"),
        ("attention --s 2", "s must be at least 3"),
        ("attention --heads 6 --kv-heads 4", "6 query heads cannot share 4 KV heads"),
        ("attention --kv-heads 0", "kv_heads must be at least 1"),
        ("attention --k-stored 3", "K is stored once or twice"),
        ("attention --device tpu", "device is auto, cuda or cpu"),
        ("attention --samples 0", "samples must be at least 1"),
        ("attention --k 0", "at least 1"),
        ("generate --model nope", "unknown model 'nope'"),
        ("generate --ratio 0", "ratio must be at least 1"),
        ("generate --batch 0", "batch must be at least 1"),
        ("generate --s 2", "s must be at least 3"),
    ],
)
def test_what_cannot_be_timed_is_refused(command, told, capsys):
    what, *rest = command.split()
    given = [what, *(SMALL if what == "attention" else []), *rest]
    assert main(["bench", *given]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU to check")
def test_the_gpu_check_says_what_it_lacks(repository):
    command = [sys.executable, repository / "scripts/gpu_check.py"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout.startswith("error: kernel=triton cannot be used") and done.stdout.count("\n") == 1
