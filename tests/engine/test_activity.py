"""A method is active where it changes an attention output, in whichever layer that is."""

from dataclasses import dataclass

import pytest
import torch
from support import architectures
from support.engine_runs import generation, scoring

from harness import methods
from harness.engine import Engine
from harness.hf import Bridge
from harness.methods.contract import Method
from harness.methods.controls.dense import Dense

WORKS = pytest.mark.parametrize("works", [generation, scoring])


@dataclass(frozen=True)
class OneLayer(Method):
    """Attends to the newest token alone in one layer, to all in the others."""

    layer: int

    def start(self, prefix):
        return prefix.layer

    def attend(self, step, state):
        if state == self.layer:
            return step.newest_v[:, :, None].expand_as(step.q)
        return Dense().attend(step, None)

    cost = Dense.cost
    at = Dense.at


@pytest.fixture
def engine():
    return Engine(Bridge(architectures.model("llama")))


def is_inactive(outputs):
    return not any(output.active for output in outputs)


@WORKS
@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_method_that_compresses_one_layer_is_active(engine, works, layer):
    outputs, dense = engine.run(works(), [OneLayer(layer), Dense()])
    assert not is_inactive(outputs)
    for output, expected in zip(outputs, dense, strict=True):
        assert output.active == (len(output.tokens) > 1)
        assert not output.active or output.nll[1] != pytest.approx(expected.nll[1], abs=1e-3)


@WORKS
def test_a_method_that_is_dense_in_every_layer_is_inactive(engine, works):
    outputs, dense = engine.run(works(), [OneLayer(3), Dense()])
    assert is_inactive(outputs)
    assert [output.nll for output in outputs] == [output.nll for output in dense]


@WORKS
def test_a_budget_that_holds_every_token_is_inactive(engine, works):
    full = [
        ("sparq", {"r": 8}),
        ("h2o", {}),
        ("lru", {}),
        ("streaming", {}),
        ("oracle_topk", {}),
        ("low_rank", {"r": 8}),
    ]
    cells = [methods.create(name, k=256, **knobs) for name, knobs in full]
    assert not any(output.active for outputs in engine.run(works(), cells) for output in outputs)


@pytest.mark.parametrize("k", [22, 24, 25, 26, 27])
def test_a_row_is_active_from_the_step_that_leaves_a_token_out(engine, k):
    (outputs,) = engine.run(generation(), [methods.create("streaming", k=k)])
    cached = [len(prompt.tokens) + prompt.new_tokens - 1 for prompt in generation()]
    assert [output.active for output in outputs] == [n > k for n in cached]


def test_half_precision_tells_them_apart_too():
    engine = Engine(Bridge(architectures.model("llama", dtype=torch.bfloat16)))
    full, middle = engine.run(generation(), [methods.create("h2o", k=256), OneLayer(1)])
    assert not any(output.active for output in full)
    assert all(output.active for output in middle)
