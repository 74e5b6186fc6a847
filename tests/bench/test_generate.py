"""`harness bench generate`: a step of a whole model is timed beside the error of its attention."""

import pytest
import torch

from harness import methods
from harness.bench import generate
from harness.bench.columns import Machine, columns
from harness.bench.generate import Bench, solved
from harness.bench.row import GenerateRow, table, with_speedup
from harness.hf import ModelSpec, find

HERE = Machine(device="d", torch="t", triton="none", commit="c")


@pytest.fixture
def bench(tiny):
    checkpoint = find(ModelSpec(name="tiny", path=str(tiny), device="cpu"))
    return Bench(checkpoint, checkpoint.load(), 1e9, HERE)


def rows(bench, *names):
    chosen = [solved(bench.checkpoint, name, 2, 600) for name in names]
    return list(bench.grid([2], {600: chosen}))


def test_every_method_is_right_and_has_its_times(bench):
    found = table(with_speedup(rows(bench, "dense", "sparq", "h2o")))
    assert list(found) == list(columns(GenerateRow))
    assert set(found["status"]) == {"ok"} and (found["error"] < 1e-4).all()
    assert found["attention_ms"].to_list() == pytest.approx((found["ms_per_token"] - found["rest_ms"]).to_list())
    assert found.set_index("method")["speedup"]["dense"] == 1


def test_attention_that_is_wrong_has_no_time(bench, monkeypatch):
    def wrong(*given):
        attend = right(*given)
        return lambda call, cache: 1.5 * attend(call, cache)

    right = generate.by_torch
    monkeypatch.setattr(generate, "by_torch", wrong)
    (row,) = rows(bench, "h2o")
    assert row.status == "wrong" and row.error == pytest.approx(0.5, abs=1e-4)
    assert row.ms_per_token is None and row.speedup is None


def test_caches_that_do_not_fit_into_memory_are_said_in_every_row(bench, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("Tried to allocate 4 GiB")

    monkeypatch.setattr("harness.bench.steps.filled", full)
    assert [row.status for row in rows(bench, "dense", "h2o")] == ["out_of_memory", "out_of_memory"]


def test_a_method_without_a_kernel_is_unsupported_on_a_gpu(bench, monkeypatch):
    monkeypatch.setattr(Bench, "device", torch.device("cuda"))
    (row,) = list(bench.measure(1, 16, [("lru", methods.create("lru", k=4))]))
    assert row.backend == "triton" and row.status == "unsupported" and "no kernel" in row.note
