"""Rows of a cache are found whatever its layout in memory."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention import gather_tokens

ORDERS = list(itertools.permutations(range(4)))


@given(st.tuples(*[st.integers(1, 4)] * 4), st.sampled_from(ORDERS), st.integers(0, 3), st.data())
def test_gathered_rows_are_those_of_plain_indexing_in_any_layout(shape, order, room, data):
    b, h, n, d = shape
    stored = torch.arange(float(b * h * (n + room) * d)).view(*((b, h, n + room, d)[axis] for axis in order))
    x = stored.permute(*(order.index(axis) for axis in range(4)))[:, :, room:]
    index = torch.tensor(data.draw(st.lists(st.integers(0, n - 1), min_size=3, max_size=3))).expand(b, h, 3)
    found = gather_tokens(x, index)
    assert found.shape == (b, h, 3, d)
    assert all(torch.equal(found[i, j], x[i, j][index[i, j]]) for i in range(b) for j in range(h))


def test_rows_of_an_expanded_head_are_found_too():
    x = torch.randn(2, 1, 5, 3).expand(2, 4, 5, 3)
    index = torch.randint(5, (2, 4, 2))
    assert torch.equal(gather_tokens(x, index), x.gather(2, index[..., None].expand(-1, -1, -1, 3)))
