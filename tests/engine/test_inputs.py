"""What enters a layer's attention is handed to those who ask for it, and captured for nobody else."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch
from support import architectures, close
from support.engine_runs import engine, generation

from harness.attention.calibration import Calibrator
from harness.attention.scores import Scores
from harness.attention.statistics import LayerInputs, LayerPrompt, observe
from harness.engine import CalibratingPrompts, Engine, calibrate
from harness.errors import InputError
from harness.evaluation.engines import refusal
from harness.hf.bridge import Bridge
from harness.hf.inputs import inputs_refusal
from harness.methods.controls.dense import Dense

PRENORMED = ["llama", "mistral", "gemma2", "qwen3"]
"""Architectures in which attention is given what a norm made of the layer's input."""
SEEN = []


@dataclass(frozen=True)
class Inputs(Calibrator):
    """Keeps what enters attention."""

    reads_inputs: ClassVar[bool] = True

    def fold(self, so_far, prompt):
        return [*(so_far or []), prompt.inputs]

    def finish(self, found):
        return found


@dataclass(frozen=True)
class Reading(Dense):
    """Dense attention that is handed what entered attention."""

    is_dense: ClassVar[bool] = False
    observes = frozenset({LayerInputs()})

    def start(self, prefix):
        SEEN.append(prefix.statistics[LayerInputs()])


@dataclass(frozen=True)
class Learning(Dense):
    """Dense attention that learns from what enters attention."""

    calibrator = Inputs(1)


def own(name, tokens):
    """What the model itself says that its attention is given, [L, N, E]."""
    model = architectures.model(name, torch.float64, attn_implementation="eager")
    hidden = model(torch.tensor([tokens]), output_hidden_states=True).hidden_states
    return [layer.input_layernorm(x)[0] for layer, x in zip(model.model.layers, hidden[:-1], strict=True)]


@pytest.mark.parametrize("name", PRENORMED)
def test_a_calibrator_sees_what_enters_each_layer_s_attention(name):
    bridge = Bridge(architectures.model(name, torch.float64))
    learnt = calibrate(bridge, [Inputs(2)], CalibratingPrompts(tuple(architectures.prompts())))[Inputs(2)]
    for i, tokens in enumerate(architectures.prompts()[:2]):
        for seen, expected in zip(learnt, own(name, tokens), strict=True):
            close(seen[i][0], expected, 1e-5)


@pytest.mark.parametrize("name", PRENORMED)
def test_a_method_finds_those_of_its_prompts_with_nothing_at_padding(name):
    SEEN.clear()
    engine(name).run(generation(), [Dense(), Reading()])
    for row, tokens in enumerate(architectures.prompts()):
        for seen, expected in zip(SEEN, own(name, tokens), strict=True):
            close(seen[row, :, -len(tokens) :].mT, expected, 1e-5)
            assert not seen[row, :, : -len(tokens)].any()


def test_nothing_is_captured_unless_somebody_asks():
    model = architectures.model("llama")
    calls = []

    @dataclass
    class Mode:
        wants_inputs: bool
        cached: int = 0
        final: int | None = None

        def attend(self, call):
            calls.append(call.inputs)
            return torch.zeros_like(call.q)

    bridge, tokens = Bridge(model), torch.tensor(architectures.prompts((5,)))
    for wanted in (True, False, True):
        bridge.forward(tokens, torch.arange(5)[None], Mode(wanted))
    assert [inputs is None for inputs in calls] == [False] * 3 + [True] * 3 + [False] * 3
    assert not any(layer.self_attn.k_proj._forward_pre_hooks for layer in model.model.layers)


def test_hooks_are_gone_after_a_pass_that_failed():
    model = architectures.model("llama")

    class Mode:
        cached, final, wants_inputs = 0, None, True

        def attend(self, _call):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        Bridge(model).forward(torch.tensor([[3, 4]]), torch.arange(2)[None], Mode())
    assert not any(layer.self_attn.k_proj._forward_pre_hooks for layer in model.model.layers)


@pytest.mark.parametrize("name", ["gpt_neox", "gpt2", "phi3"])
def test_models_that_do_not_show_them_are_refused_before_weights_and_when_run(name):
    said = f"architecture '{name}' has no k_proj in every layer"
    assert said in inputs_refusal(architectures.config(name))
    with pytest.raises(InputError, match=said):
        Engine(Bridge(architectures.model(name))).run(generation(), [Reading()])


@pytest.mark.parametrize(("method", "asked"), [(Reading(), 1), (Learning(), 1), (Dense(), 0)], ids=repr)
def test_a_plan_refuses_those_who_read_them_and_nobody_else(method, asked):
    checkpoint = SimpleNamespace(inputs_refusal=lambda: "it has none")
    assert refusal(checkpoint, method) == ("it has none" if asked else None)
    assert inputs_refusal(architectures.config("llama")) is None


def test_tensors_without_a_model_have_none():
    x = torch.zeros(1, 1, 1, 4, 2)
    with pytest.raises(InputError, match="the hidden states that enter attention are not known here"):
        observe({LayerInputs()}, LayerPrompt(x, x[:, :, 0], None, Scores(1.0)))
