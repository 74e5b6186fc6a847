"""A batch of prompts of different lengths keeps, of each, the statistics that it would have alone."""

import pytest
import torch

from harness.attention.scores import Scores
from harness.attention.statistics import (
    AttentionReceived,
    LargestWeight,
    LastQueries,
    LastUsed,
    LayerPrompt,
    QueryKeyMagnitude,
    ReceivedFromLast,
    ReceivedWithin,
    observe,
)
from harness.engine.cache import PromptCache
from harness.engine.model import LayerCall
from harness.engine.prefill import Prefill

BY_TOKEN = (AttentionReceived(), LastUsed(), ReceivedWithin(3), ReceivedFromLast(3), LargestWeight(2))
BY_ROW = (LastQueries(6), QueryKeyMagnitude())
LENGTHS = [9, 4, 7]


@pytest.fixture(params=[3, 1, 2], ids=lambda rows: f"{rows}_rows_at_once")
def statistics(request):
    """Those of the cache, after passes of some rows, and the tensors of each prompt."""
    make = torch.Generator().manual_seed(0)
    q, k = (torch.randn(3, heads, 9, 8, generator=make, dtype=torch.float64) for heads in (4, 2))
    cache = PromptCache(LENGTHS, [2, 2, 2], torch.device("cpu"))
    for start in range(0, 3, request.param):
        rows = slice(start, min(start + request.param, 3))
        s = max(LENGTHS[rows])
        call = LayerCall(5, q[rows, :, :s], k[rows, :, :s], k[rows, :, :s], None, Scores(0.4))
        Prefill(cache, rows, frozenset(BY_TOKEN + BY_ROW)).attend(call)
    return cache.layers[5].statistics, q, k


def alone(statistic, q, k, row, n):
    of_row = q[row : row + 1, :, :n].unflatten(1, (2, 2)), k[row : row + 1, :, :n]
    return observe([statistic], LayerPrompt(*of_row, None, Scores(0.4)))[statistic][0]


@pytest.mark.parametrize("statistic", BY_TOKEN, ids=repr)
def test_statistics_by_token_end_with_the_newest_token_and_fill_the_padding(statistics, statistic):
    found, q, k = statistics
    for row, n in enumerate(LENGTHS):
        mine = found[statistic][row]
        torch.testing.assert_close(mine[..., 9 - n :], alone(statistic, q, k, row, n), equal_nan=True)
        filler = torch.full_like(mine[..., : 9 - n], statistic.filler)
        torch.testing.assert_close(mine[..., : 9 - n], filler, equal_nan=True)


@pytest.mark.parametrize("statistic", BY_ROW, ids=repr)
def test_other_statistics_are_kept_as_they_are(statistics, statistic):
    found, q, k = statistics
    for row, n in enumerate(LENGTHS):
        torch.testing.assert_close(found[statistic][row], alone(statistic, q, k, row, n))
