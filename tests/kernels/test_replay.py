"""A decode step recorded once and replayed for every other: the same numbers as launching each."""

import warnings

import pytest
import torch
from support import KNOBS, architectures
from support.engine_runs import generation, ropes, scoring
from support.kernels import DEVICE

from harness import methods
from harness.engine import Engine, Prompt
from harness.engine.decode import Decode
from harness.hf.bridge import Bridge

RECORDED = "harness.engine.launch.record"
ON_A_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
WORKS = pytest.mark.parametrize("works", [generation, scoring])


CELLS = ("dense", "sparq", "h2o", "lm_infinite", "flexgen")
INDEXED = ("quest", "loki", "double_sparsity", "shadow_kv")


def answers(works, name="llama", cells=CELLS):
    model = architectures.model(name).to(DEVICE)
    made = [methods.create(cell, **KNOBS[cell]) for cell in cells]
    found = Engine(Bridge(model), kernel="triton", ropes=ropes(name)).run(works()[:2], made)
    return [[(a.tokens, a.nll, a.greedy, a.active) for a in of_cell] for of_cell in found]


@pytest.fixture
def recorder(monkeypatch):
    """Stands in for CUDA graphs: what it records is launched again as it was, for whatever token."""
    recorded = []

    def record(step, *_):
        recorded.append(step)
        return step

    monkeypatch.setattr(Bridge, "replayable", True)
    monkeypatch.setattr(RECORDED, record)
    return recorded


def test_a_step_is_recorded_again_without_comparisons_once_every_row_has_changed(recorder):
    model, late = architectures.model("llama").to(DEVICE), methods.create("streaming", k=21 + 3)
    prompt = Prompt(architectures.prompts((21,))[0], new_tokens=12)
    ((answer,),) = Engine(Bridge(model), kernel="triton").run([prompt], [late])
    assert answer.active
    assert len(recorder) == 2


@pytest.mark.parametrize(
    ("works", "cells"),
    [
        pytest.param(generation, CELLS, id="by scores"),
        pytest.param(generation, INDEXED, id="by an index", marks=pytest.mark.slow),  # interpreted, half a minute
        pytest.param(scoring, ["dense", "h2o", "kivi", "snapkv"], id="forced"),
    ],
)
def test_what_is_launched_for_one_token_decodes_every_other(works, cells, recorder, monkeypatch):
    replayed = answers(works, cells=cells)
    assert len(recorder) == 1
    monkeypatch.setattr(Bridge, "replayable", False)
    for of_cell, expected in zip(replayed, answers(works, cells=cells), strict=True):
        for (tokens, nll, greedy, active), one_by_one in zip(of_cell, expected, strict=True):
            assert (tokens, greedy, active) == (one_by_one[0], one_by_one[2], one_by_one[3])
            assert nll == pytest.approx(one_by_one[1], abs=1e-5)


@pytest.mark.parametrize(
    ("name", "cells", "times"),
    [
        ("llama", ["dense"], 1),
        ("mistral", ["dense"], 0),
        ("llama", ["dense", "lru"], 0),
        ("llama", ["dense", "ada_kv"], 0),
    ],
    ids=["neither", "window", "torch", "measured"],
)
def test_steps_that_depend_on_how_much_is_decoded_are_never_recorded(name, cells, times, recorder):
    answers(generation, name, cells)
    assert len(recorder) == times


@ON_A_GPU
@WORKS
def test_a_cuda_graph_gives_the_same_bits_as_launching_each_step(works, monkeypatch):
    replayed = answers(works)
    monkeypatch.setattr(RECORDED, lambda step, *_: step)
    assert replayed == answers(works)


@ON_A_GPU
def test_a_step_that_cannot_be_recorded_is_launched_with_a_warning(monkeypatch):
    expected = answers(generation)
    attend = Decode.attend
    monkeypatch.setattr(Decode, "attend", lambda self, call: (call.q.sum().item(), attend(self, call))[1])
    with pytest.warns(RuntimeWarning, match="without a CUDA graph"):
        assert answers(generation) == expected
    assert torch.rand(3, device=DEVICE).shape == (3,)  # a recording that failed leaves nothing waiting
    monkeypatch.undo()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert answers(generation) == expected
