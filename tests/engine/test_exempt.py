"""Layers that a method leaves dense, what layers of a stream share, and what was measured: the engine's part."""

from dataclasses import dataclass
from types import SimpleNamespace

import pytest
import torch
from support.engine_runs import engine, generation, scoring

from harness import methods
from harness.attention import LayerShape, Meter
from harness.attention.index.codes import Codes
from harness.methods.contract import Method
from harness.methods.controls.dense import Dense
from harness.methods.cost import ELEMENT, Stack
from harness.methods.exemption import Exemption

WORKS = pytest.mark.parametrize("works", [generation, scoring])
WINDOW = {"k": 3}


def likelihoods(outputs):
    return [output.nll for output in outputs]


@WORKS
def test_a_method_that_is_exempt_everywhere_is_dense_attention(works):
    exempt = [methods.create("window", **WINDOW, dense_layers=layers) for layers in (3, 99, "0,1,2")]
    dense, *found = engine().run(works(), [methods.create("dense"), *exempt])
    for outputs in found:
        assert likelihoods(outputs) == likelihoods(dense)
        assert not any(output.active for output in outputs)


@WORKS
@pytest.mark.parametrize(("exemption", "acts"), [(0, {0, 1, 2}), (1, {1, 2}), (2, {2}), ("1", {0, 2}), ("0,2", {1})])
def test_a_method_acts_in_the_layers_that_are_not_exempt_and_in_no_other(works, exemption, acts):
    @dataclass(frozen=True)
    class Noting(Dense):
        def start(self, prefix):
            seen.add(prefix.layer)
            assert prefix.layers == 3

    seen = set()
    engine().run(works(), [Noting(dense_layers=exemption)])
    assert seen == acts


@WORKS
def test_layers_with_a_window_can_be_left_dense(works):
    full = [methods.create("window", **WINDOW, layers="full"), methods.create("dense")]
    mistral, dense = engine("mistral").run(works(), full)
    assert likelihoods(mistral) == likelihoods(dense)
    gemma = engine("gemma3_text").run(works(), [*full, methods.create("window", **WINDOW)])
    assert len({str(likelihoods(outputs)) for outputs in gemma}) == 3


@dataclass(frozen=True)
class Handing(Method[SimpleNamespace]):
    """Attends densely; in every layer it reads what the layer before noted of the same step, and measures a row."""

    cost, at, measured = Dense.cost, Dense.at, True

    def start(self, prefix):
        return SimpleNamespace(layer=prefix.layer, shared=prefix.shared, meter=Meter())

    def attend(self, step, state):
        before = state.shared.get(step.length)
        assert before == (None if state.layer == 0 else state.layer - 1)
        state.shared[step.length] = state.layer if state.layer < 2 else None
        h, n = step.k.shape[1], step.length
        state.meter.note(torch.full((len(step.q),), float(h * n * ELEMENT)))
        return Dense().attend(step, None)

    def meter(self, state):
        return state.meter


@WORKS
def test_layers_of_one_stream_share_an_object_that_no_other_stream_sees(works):
    first, second = engine().run(works(), [Handing(), Handing()])
    assert likelihoods(first) == likelihoods(second)


@WORKS
@pytest.mark.parametrize("exempt", [0, 3])
def test_what_was_measured_is_a_share_of_dense_bytes_over_the_example_s_own_steps(works, exempt):
    (outputs,) = engine().run(works(), [Handing(dense_layers=exempt)])
    layers, prompts, longest = (LayerShape(2, 8, group=2),) * 3, works(), 21
    for prompt, output in zip(prompts, outputs, strict=True):
        steps = range(1, len(output.tokens))
        if not steps:
            assert output.share is None
            continue
        dense = sum(Stack(layers).dense(len(prompt.tokens) + t).moved for t in steps)
        moved = dense if exempt else sum(3 * 2 * (longest + t) * ELEMENT for t in steps)
        assert output.share == pytest.approx(moved / dense)


def test_a_method_with_a_closed_form_measures_nothing():
    (outputs,) = engine().run(generation(), [methods.create("window", **WINDOW)])
    assert {output.share for output in outputs} == {None}


def test_an_exempt_layer_costs_what_dense_attention_costs_there():
    layers = (LayerShape(2, 8), LayerShape(2, 8, window=10), LayerShape(1, 16))
    method = methods.create("window", k=5, dense_layers=1, layers="full")
    moved = 2 * (2 * 100 * 8 + 16) + 2 * (2 * 10 * 8 + 16) + (2 * 5 * 16 + 32)
    assert Stack(layers).cost(method, 100).moved == ELEMENT * moved
    assert Stack(layers).acting(Exemption("0,1")) == layers[2:]


@WORKS
def test_what_cells_make_alike_of_a_prompt_is_made_once_for_all_of_them(works, monkeypatch):
    made, learnt = [], Codes.learnt
    monkeypatch.setattr(Codes, "learnt", lambda *args: made.append(1) or learnt(*args))
    small = {"sinks": 1, "n_bits": 2, "recent": 1}
    cells = [methods.create("pqcache", **small, k=k) for k in (2, 4)]
    other = methods.create("pqcache", **small, k=2, seed=1)
    together = engine().run(works(), [*cells, other])
    assert len(made) == 3 * 2  # layers, and two ways to cluster
    for cell, outputs in zip(cells, together, strict=False):
        (alone,) = engine().run(works(), [cell])
        for found, expected in zip(alone, outputs, strict=True):
            assert found.nll == pytest.approx(expected.nll, abs=1e-6)
