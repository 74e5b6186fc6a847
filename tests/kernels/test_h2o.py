"""H2O by kernels is H2O as harness/methods/eviction/h2o.py defines it, step after step."""

import pytest
import torch
from support import random_case
from support.kernels import DEVICE, Inputs, both, error

from harness import kernels
from harness.attention.statistics import AttentionReceived
from harness.kernels import HeavyHitters


def test_the_first_step_equals_the_definition():
    x = Inputs.random(g=2)
    b, h, n, _ = x.k.shape
    received = torch.rand(b, h, n - 1, device=x.k.device)
    column = torch.arange(n - 1, dtype=torch.int32, device=x.k.device).expand(b, h, -1)
    got = kernels.h2o(x.q, x.cache(), HeavyHitters(column, received), k=20)
    assert error(got, x.expected("h2o", {AttentionReceived(): received}, k=20)) < 1e-5


@pytest.mark.parametrize("knobs", [{"k": 6, "local": 6}, {"k": 6, "local": 0}, {"k": 18}, {"k": 20}, {"k": 400}])
def test_windows_and_budgets_of_any_size_are_taken(knobs):
    for expected, got in both("h2o", knobs, random_case(h=1, t=6, dtype=torch.float32)):
        torch.testing.assert_close(got, expected, atol=1e-5, rtol=0)


def test_the_newest_of_equal_scores_is_kept():
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
