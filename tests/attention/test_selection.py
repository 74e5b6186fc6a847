"""Rows of a cache are found whatever its layout in memory; sinks, windows and the best are those of slow loops."""

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention import Step, are_best, attend_to, ends, gather_tokens
from harness.attention.scores import Scores

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


def test_one_choice_for_all_heads_attends_as_the_same_choice_of_each():
    step = Step(*(torch.randn(2, 3, n, 4) for n in (2, 7, 7)), torch.ones(2, 1, 7, dtype=torch.bool), Scores(0.5))
    index, live = torch.tensor([[[5, 0, 6]], [[1, 2, 2]]]), torch.tensor([[[True] * 3], [[True, True, False]]])
    for shared, each in zip(
        attend_to(step, index, live), attend_to(step, index.expand(-1, 3, -1), live.expand(-1, 3, -1)), strict=True
    ):
        assert torch.equal(shared, each)


@given(st.lists(st.booleans(), min_size=1, max_size=12), st.integers(0, 13), st.integers(0, 13))
def test_ends_are_the_first_and_the_last_live_tokens(live, first, last):
    columns = [column for column, is_live in enumerate(live) if is_live]
    kept = {*columns[:first], *columns[max(0, len(columns) - last) :]}
    assert ends(torch.tensor([live]), first, last).tolist() == [[column in kept for column in range(len(live))]]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 13))
def test_of_equal_scores_the_newest_are_best(scores, count):
    best = sorted(range(len(scores)), key=lambda column: (scores[column], column))[max(0, len(scores) - count) :]
    found = are_best(torch.tensor([scores]).float(), count)
    assert found.tolist() == [[column in best for column in range(len(scores))]]
