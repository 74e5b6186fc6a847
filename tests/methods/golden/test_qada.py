"""QAdA's definition, of which no code was released: outputs, shares and decisions that the file holds."""

import pytest
import torch

from golden import attended, settings
from harness.methods import create
from harness.methods.decoding import steps


def method_of(setting):
    kind, knobs = setting.given["kind"], {name: v for name, v in setting.given.items() if name != "kind"}
    return create(kind, **knobs)


@settings("qada")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_outputs_are_those_of_the_definition(setting, dtype):
    found = setting.decode(method_of(setting), dtype)
    torch.testing.assert_close(found, setting.expected(dtype), atol=2e-5, rtol=0)


@settings("qada", lambda setting: setting.name not in ("dense", "short"))
def test_near_tokens_hold_the_share_that_the_definition_guesses(setting):
    method, expected = method_of(setting), setting.array("share")
    for t, (step, state) in enumerate(steps(method, *setting.tensors(torch.float64))):
        method.attend(step, state)
        torch.testing.assert_close(method.shares(step, state).flatten(1).float(), expected[:, :, t], atol=1e-6, rtol=0)


@settings("qada", lambda setting: setting.name != "dense")
def test_tokens_that_are_attended_to_are_those_of_the_definition(setting):
    assert torch.equal(attended(method_of(setting), *setting.tensors(torch.float64)), setting.array("kept"))


@settings("qada", lambda setting: setting.name == "always_local")
def test_without_a_threshold_it_is_lm_infinite(setting):
    sinks, window = setting.given["sinks"], setting.given["window"]
    static = create("lm_infinite", k=sinks + window, initial=sinks)
    found, expected = (setting.decode(method, torch.float64) for method in (method_of(setting), static))
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
