"""Quantiles of live entries are those of torch's interpolation."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention.quantiles import ends


@given(
    fraction=st.sampled_from([0.0, 0.01, 0.04, 0.5, 0.98, 1.0]),
    counts=st.lists(st.integers(1, 40), min_size=1, max_size=3),
    seed=st.integers(0, 999),
)
def test_ends_interpolate_between_the_live_entries(fraction, counts, seed):
    x = torch.randn(len(counts), 2, max(counts), dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    live = torch.arange(max(counts)) < torch.tensor(counts)[:, None]
    lower, upper = ends(x.masked_fill(~live[:, None], 1e9), live[:, None], fraction)
    for row, count in enumerate(counts):
        alone = x[row, :, :count]
        expected = torch.tensor([fraction / 2, 1 - fraction / 2], dtype=torch.float64)
        torch.testing.assert_close(torch.stack((lower[row], upper[row])), alone.quantile(expected, -1))


@pytest.mark.parametrize("count", [5, 41])
def test_a_quantile_that_is_an_entry_is_it_to_the_bit(count):
    x = torch.randn(count, generator=torch.Generator().manual_seed(1))
    ordered = x.sort().values
    lower, upper = ends(x, torch.ones(count, dtype=torch.bool), 0.5)
    assert (lower, upper) == (ordered[(count - 1) // 4], ordered[3 * (count - 1) // 4])
