"""The fewest tokens of a share, against trying them one by one."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention.mass import bisected, fewest


def one_by_one(weights, p):
    """Take the heaviest, of equals the newest, until they sum to p."""
    kept, total = set(), 0.0
    for i in sorted(range(len(weights)), key=lambda i: (weights[i], i), reverse=True):
        if total >= p:
            break
        kept.add(i)
        total += weights[i]
    return [i in kept for i in range(len(weights))]


@given(st.lists(st.integers(0, 6), min_size=1, max_size=12).filter(any), st.floats(0.01, 1))
def test_the_fewest_entries_that_hold_a_share_are_those_found_one_by_one(units, p):
    weights = torch.tensor([units, list(reversed(units))], dtype=torch.float64)
    found = fewest(weights, p * sum(units))
    assert found.tolist() == [one_by_one(row, p * sum(units)) for row in weights.tolist()]


@pytest.mark.parametrize("p", [0.3, 0.85])
def test_the_released_bisection_keeps_all_that_is_heavier_than_token_0_and_no_less_than_the_fewest(p):
    weights = torch.randn(50, 40).mul(3).softmax(-1)
    kept = bisected(weights, weights[:, :1], p)
    assert (kept | ~fewest(weights, p)).all()
    assert (kept | (weights <= weights[:, :1])).all()
    assert bisected(weights, torch.zeros(50, 1), p).all(), "nothing is pruned where token 0 has no weight"
