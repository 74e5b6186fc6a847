"""Methods in layers with a sliding window, where old tokens leave the attention mask. float64."""

import dataclasses

import pytest
import torch
from support import VARIANTS, close, each_method, random_case, steps

from harness import methods

FORGETFUL = [(name, knobs) for name, knobs in VARIANTS if not methods.create(name, **knobs).observes]
"""All whose state is not a history of evictions, which no later start can know."""


@each_method(FORGETFUL)
@pytest.mark.parametrize("window", [3, 9])
def test_a_sliding_window_equals_starting_anew_at_every_step(name, knobs, layer, window):
    method, case = methods.create(name, **knobs), random_case(p=14, t=6)
    for step, state in steps(case, method, sliding_window=window, layer=layer):
        fresh = dataclasses.replace(case, p=step.length - 1)
        fresh_step, fresh_state = next(steps(fresh, method, sliding_window=window, layer=layer))
        if hasattr(state, "step"):
            fresh_state = dataclasses.replace(state)  # a stream of random numbers goes on
        close(method.attend(step, state), method.attend(fresh_step, fresh_state))


@each_method()
@pytest.mark.parametrize("window", [3, 9])
def test_tokens_that_a_sliding_window_dropped_have_no_influence(name, knobs, layer, window):
    method, case = methods.create(name, **knobs), random_case(p=14, t=6)
    hostile = random_case(p=14, t=6)
    dropped = case.p + 1 - window - bool(method.observes)  # the last prompt query, by which some choose, sees one more
    hostile.v[:, :, :dropped] += 100
    hostile.k[:, :, :dropped] *= -1
    pairs = zip(
        steps(case, method, sliding_window=window, layer=layer),
        steps(hostile, method, sliding_window=window, layer=layer),
        strict=True,
    )
    for (step, state), (other, other_state) in pairs:
        for past in ("score", "history"):
            if isinstance(getattr(state, past, None), torch.Tensor):
                setattr(other_state, past, getattr(state, past).clone())
        close(method.attend(step, state), method.attend(other, other_state), 1e-9)


@each_method()
def test_values_that_a_sliding_window_dropped_have_no_influence(name, knobs, layer):
    method, case = methods.create(name, **knobs), random_case(p=14, t=6)
    hostile = random_case(p=14, t=6)
    hostile.v[:, :, : case.p + 1 - 9] += 100
    both = (steps(of, method, sliding_window=9, layer=layer) for of in (case, hostile))
    for (step, state), (other, other_state) in zip(*both, strict=True):
        close(method.attend(step, state), method.attend(other, other_state), 1e-9)
