"""The k best tokens by stored scores are those of a sort by score, then by age, however they are searched."""

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.kernels import DEVICE, normal

from harness.kernels.choice import TokenScores
from harness.kernels.choice.tiles import MOST_PARTS, RESIDENT, is_whole, neighbours, picks, radix

FEW, MANY = 96, 300
SHORT, LONG = 700, 9000
"""Columns that a program holds, and more than that."""
SHAPES = {"groups": (FEW, LONG), "whole": (MANY, SHORT), "digits": (MANY, LONG)}


def scores_of(kind, n):
    """Return scores [2, 2, n], float32, of a kind that is hard to search."""
    drawn = normal(2, 2, n, seed=n)
    return {
        "normal": drawn,
        "tied": (3 * drawn).round(),
        "level": torch.zeros_like(drawn),
        "signed zeros": torch.where(drawn > 0, 0.0, -0.0),
        "far apart": drawn.sign() * torch.exp(40 * drawn.abs().clamp_max(2)),
        "tiny": drawn * 1e-38,
    }[kind]


def stored(score, padding, window):
    """Return the scores as kernels write them, columns that may not be chosen poisoned, and the rows' ends."""
    n = score.shape[2] - 7
    column = torch.arange(score.shape[2], device=DEVICE)
    free = (column >= padding[:, None]) & (column < n - window)
    score = score.masked_fill(~free[:, None], torch.nan)
    of = neighbours(score.shape[2])
    padded = torch.nn.functional.pad(score.nan_to_num(-torch.inf), (0, -score.shape[2] % of), value=-torch.inf)
    rows = SimpleNamespace(padding=padding.int(), kv_lengths=torch.full((2,), n, dtype=torch.int32, device=DEVICE))
    return TokenScores(score, padded.unflatten(2, (-1, of)).amax(3), of, window), rows


def expected(score, first, end, k):
    """Sort one head's columns by score, of equal ones the newest first."""
    return sorted(sorted(range(first, end), key=lambda at: (-score[at], -at))[:k])


def test_the_shapes_below_are_searched_in_all_three_ways():
    assert picks(*SHAPES["groups"]) and not picks(*SHAPES["whole"]) and not picks(*SHAPES["digits"])
    assert is_whole(SHORT) and not is_whole(LONG)


@given(longest=st.integers(1, 1 << 21), heads=st.integers(1, 4096), processors=st.sampled_from([16, 108, 132]))
def test_programs_of_a_search_by_digits_that_wait_for_each_other_all_run_at_once(longest, heads, processors):
    tiles = radix(longest, heads, processors)
    assert (tiles.parts - 1) * tiles.per_part < longest <= tiles.parts * tiles.per_part
    assert tiles.parts <= MOST_PARTS and tiles.block in (1024, 2048)
    assert not tiles.at_once or heads * tiles.parts <= RESIDENT * processors


@pytest.mark.parametrize("kind", ["normal", "tied", "level", "signed zeros", "far apart", "tiny"])
@pytest.mark.parametrize("way", SHAPES)
def test_the_best_tokens_are_those_of_a_sort(way, kind):
    k, n = SHAPES[way]
    score, padding, window = scores_of(kind, n), torch.tensor([0, 45], device=DEVICE), 33
    scores, rows = stored(score, padding, window)
    found = scores.best(rows, k).tolist()
    for row, head in ((0, 0), (0, 1), (1, 0), (1, 1)):
        end = n - 7 - window
        assert found[row][head] == expected(score[row, head].tolist(), int(padding[row]), end, k)


@pytest.mark.parametrize("way", SHAPES)
@pytest.mark.parametrize("free", [0, 1, 60])
def test_where_fewer_tokens_are_older_than_the_window_all_of_them_are_chosen(way, free):
    k, n = SHAPES[way]
    scores, rows = stored(scores_of("normal", n), torch.tensor([0, n - 7 - 20 - free], device=DEVICE), 20)
    found = scores.best(rows, k)
    for head in range(2):
        assert found[1, head, :free].tolist() == list(range(n - 27 - free, n - 27))


def test_no_tile_grows_with_k_or_with_the_number_of_tokens():
    ways = {(picks(k, n), neighbours(n)) for k in range(1, 5000, 7) for n in (2**i for i in range(8, 24))}
    assert {places for places, _ in ways} == {64, 128, 256, None}
    assert {of for _, of in ways} == {8, 16, 32, 64}
