"""Draws from a range of columns, and moments of a set of keys that comes and goes."""

import math

import torch

from harness.attention.index.moments import Moments
from harness.attention.sampling import Range, deviation, drawn


def test_numbers_draw_the_columns_of_each_row_s_own_range():
    others = torch.tensor([[False, True, True, True, False], [False, False, False, True, False]])[:, None]
    columns = Range.of(others).columns(torch.tensor([0.0, 0.34, 0.999]))
    assert columns[:, 0, 0].tolist() == [[1, 2, 3], [3, 3, 3]]


def test_only_the_first_draws_count_and_repeated_ones_once():
    columns = torch.tensor([4, 1, 4, 0]).expand(1, 1, 2, 4)
    found = drawn(columns, torch.tensor([3, 4]).view(1, 1, 2, 1), 5)
    assert found[0, 0].nonzero().tolist() == [[0, 1], [0, 4], [1, 0], [1, 1], [1, 4]]


def test_the_deviation_is_the_sample_s_with_repeated_draws():
    values, columns = torch.tensor([5.0, 1.0, 9.0]).view(1, 1, 1, 3), torch.tensor([0, 0, 1, 2]).view(1, 1, 1, 4)
    found = deviation(values, columns, torch.tensor([3]).view(1, 1, 1, 1))
    assert math.isclose(float(found), float(torch.tensor([5.0, 5.0, 1.0]).std()), rel_tol=1e-6)


def test_moments_that_follow_a_set_are_those_of_the_set():
    generator = torch.Generator().manual_seed(0)
    k, q = torch.randn(2, 3, 40, 6, generator=generator), torch.randn(2, 3, 4, 6, generator=generator)
    first, later = (torch.rand(2, 1, 40, generator=generator) < share for share in (0.3, 0.6))
    followed = Moments.of(k[:, :, :30], first[..., :30])
    read = followed.follow(k, later)
    assert torch.equal(read, (torch.nn.functional.pad(first[..., :30], (0, 10)) ^ later).sum(-1))
    anew, count = Moments.of(k, later), later.sum(-1, keepdim=True)
    torch.testing.assert_close(followed.log_mass(q, count), anew.log_mass(q, count))


def test_the_guess_is_the_mass_where_keys_are_normal():
    generator = torch.Generator().manual_seed(1)
    k = torch.randn(1, 1, 50_000, 4, generator=generator) * 0.5 + 1
    q, everyone = torch.randn(1, 1, 3, 4, generator=generator), torch.ones(1, 1, 50_000, dtype=torch.bool)
    guess = Moments.of(k, everyone).log_mass(q, everyone.sum(-1, keepdim=True))
    torch.testing.assert_close(guess, (q @ k.transpose(2, 3)).double().logsumexp(-1), atol=0.05, rtol=0)
