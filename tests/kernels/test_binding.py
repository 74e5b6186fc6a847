"""Methods through the engine's seam to the kernels: the same numbers as in torch, step after step."""

from types import SimpleNamespace

import pytest
import torch
from support import KNOBS, VARIANTS, architectures, label, random_case, steps
from support.engine_runs import generation, scoring
from support.kernels import DEVICE, Inputs

from harness import kernels, methods
from harness.engine import Engine
from harness.hf.bridge import Bridge
from harness.kernels import HeavyHitters, choose_binding, find_binding, fits
from harness.methods.eviction.h2o import H2O

IN_TORCH = {"lru", "low_rank", "low_rank-no_reallocate", "random_k", "flexgen-reallocate", "flexgen-before_softmax"}
SERVED = [v for v in VARIANTS if find_binding(methods.create(v[0], **v[1]))]
EVERY = pytest.mark.parametrize(("name", "knobs"), SERVED, ids=[label(v) for v in SERVED])


def both(name, knobs, case, window=None):
    """(torch's output, the kernels' output) of each step."""
    for tensor in "qkv":
        setattr(case, tensor, getattr(case, tensor).to(DEVICE))
    case.mask = case.mask.to(DEVICE)
    plain = methods.create(name, **knobs)
    fast = choose_binding(plain, "triton", torch.device(DEVICE), fits=True)
    starts = SimpleNamespace(observes=plain.observes, start=fast.start)  # the state alone is the kernel's own
    for (step, state), (_, own) in zip(
        steps(case, plain, None, window), steps(case, starts, None, window), strict=True
    ):
        yield plain.attend(step, state), fast.attend(step, own)


def test_only_these_methods_and_knobs_stay_in_torch():
    assert {label(v) for v in VARIANTS} - {label(v) for v in SERVED} == IN_TORCH


@EVERY
@pytest.mark.parametrize("window", [None, 5])
def test_steps_equal_the_method(name, knobs, window):
    for expected, got in both(name, knobs, random_case(pads=(0, 15), h=1, dtype=torch.float32), window):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@EVERY
@pytest.mark.parametrize(("group", "dtype"), [(1, torch.bfloat16), (3, torch.float16)], ids=["bfloat16", "float16"])
def test_short_floats_are_close(name, knobs, group, dtype):
    """Triton's interpreter multiplies matrices of bfloat16 as if they were integers, and a group of one needs none."""
    for expected, got in both(name, knobs, random_case(h=1, g=group, p=60, t=2, dtype=dtype, seed=3)):
        assert got.dtype == dtype
        assert (got.float() - expected.float()).abs().median() < 0.01


@pytest.mark.parametrize("knobs", [{"k": 6, "local": 9}, {"k": 6, "local": 0}, {"k": 18}, {"k": 20}, {"k": 400}])
def test_h2o_with_extreme_knobs(knobs):
    for expected, got in both("h2o", knobs, random_case(h=1, t=6, dtype=torch.float32)):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_h2o_keeps_the_newest_of_equal_scores():
    case = random_case(pads=(0, 2), h=1, dtype=torch.float32)
    case.k[:, :, :12] = 0  # the prompt's weights tie exactly, and so does what its tokens receive later
    case.q[:, :, :18] = 0
    for expected, got in both("h2o", {"k": 6, "local": 1}, case):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("k", [6, 30])
def test_a_step_of_h2o_may_be_repeated(k):
    x = Inputs.random(h=1, n=60)
    cache, state = x.cache(), HeavyHitters.of(torch.rand(2, 1, 59, device=DEVICE))
    first = kernels.h2o(x.q, cache, state, k=k)
    kept = state.column.clone()
    assert torch.equal(kernels.h2o(x.q, cache, state, k=k), first)
    assert torch.equal(state.column, kept)


@pytest.mark.parametrize(("name", "works"), [("llama", generation), ("mistral", scoring)])
def test_the_engine_gives_the_same_answers(name, works):
    cells = [methods.create(name, **KNOBS[name]) for name in ("dense", "h2o", "lru", "lm_infinite")]
    model = architectures.model(name).to(DEVICE)
    plain, fast = (Engine(Bridge(model), kernel=kernel).run(works()[:2], cells) for kernel in ("torch", "triton"))
    for of_cell, other in zip(plain, fast, strict=True):
        for expected, got in zip(of_cell, other, strict=True):
            assert got.tokens == expected.tokens
            assert got.nll == pytest.approx(expected.nll, abs=1e-4)
            assert got.active == expected.active


@pytest.mark.parametrize(("head_dim", "capped", "taken"), [(256, False, True), (256, True, False), (512, False, False)])
def test_kernels_take_heads_up_to_256_and_no_soft_cap(head_dim, capped, taken):
    assert fits(head_dim, capped) is taken


def test_an_architecture_that_kernels_do_not_take_keeps_every_method_in_torch():
    for name, knobs in VARIANTS:
        method = methods.create(name, **knobs)
        assert choose_binding(method, "triton", torch.device(DEVICE), fits=False) is None


def test_a_subclass_is_not_taken_for_what_it_derives_from():
    class Other(H2O):
        def rescore(self, score, weights, step):
            return score

    assert find_binding(H2O(k=4)) is not None
    assert find_binding(Other(k=4)) is None


def test_a_pattern_whose_initial_tokens_exceed_its_budget_stays_in_torch():
    assert find_binding(methods.create("lm_infinite", k=4, initial=8)) is None
