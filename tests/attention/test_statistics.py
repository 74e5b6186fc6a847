"""Statistics of a prefill against the whole S x S attention matrix, written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention import statistics as module
from harness.attention.scores import Scores
from harness.attention.statistics import ATTENTION_RECEIVED, LAST_USED, observe, used

NAMES = (ATTENTION_RECEIVED, LAST_USED)


def written_out(q, k, mask, scores, window_mask=None):
    """Both statistics from materialised weights [B, H, G, S, S]."""
    b, h, _, s, _ = q.shape
    logits = torch.einsum("bhgqd,bhkd->bhgqk", q, k) * scores.scale
    if scores.cap is not None:
        logits = scores.cap * (logits / scores.cap).tanh()
    seen = torch.ones(s, s, dtype=torch.bool).tril() if window_mask is None else window_mask[0, 0]
    received, last = torch.zeros(b, h, s, dtype=q.dtype), torch.zeros(b, h, s, dtype=q.dtype)
    for row in range(b):
        time = 0
        for i in range(s):
            if not mask[row, i]:
                continue
            time += 1
            looked_at = [j for j in range(s) if seen[i, j] and mask[row, j]]
            mean = logits[row, :, :, i, looked_at].softmax(-1).mean(1)
            received[row, :, looked_at] += mean
            enough = 1 / (mean > 1e-9).sum(-1, keepdim=True)
            for head in range(h):
                for column, is_used in zip(looked_at, mean[head] >= enough[head], strict=True):
                    if is_used:
                        last[row, head, column] = time
    return {ATTENTION_RECEIVED: received, LAST_USED: last}


def inputs(mask, h=2, g=2, d=4, seed=0, dtype=torch.float64):
    make = torch.Generator().manual_seed(seed)
    b, s = mask.shape
    q = 2 * torch.randn(b, h, g, s, d, generator=make, dtype=torch.float64).to(dtype)
    return q, torch.randn(b, h, s, d, generator=make, dtype=torch.float64).to(dtype)


def padded(s, left=(), right=()):
    rows = [*((n, s) for n in left), *((0, s - n) for n in right)]
    return torch.stack([(torch.arange(s) >= start) & (torch.arange(s) < end) for start, end in rows])


def check(mask, scores, window_mask=None, **more):
    q, k = inputs(mask, **more)
    found, expected = observe(NAMES, q, k, mask, scores, window_mask), written_out(q, k, mask, scores, window_mask)
    assert set(found) == set(NAMES)
    for name in NAMES:
        torch.testing.assert_close(found[name], expected[name], atol=1e-10, rtol=0)
    return found


@pytest.fixture(params=[128, 5], ids=["one_block", "many_blocks"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", request.param)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("scores", [Scores(0.5), Scores(1.0), Scores(1.0, 2.0)], ids=["plain", "scale", "cap"])
@pytest.mark.parametrize(
    "mask",
    [padded(17, left=(0,)), padded(17, left=(0, 3, 16)), padded(17, right=(0, 7))],
    ids=["bare", "left", "right"],
)
def test_statistics_equal_those_of_the_whole_matrix(mask, scores):
    check(mask, scores)


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("mask", [padded(15, left=(0, 4)), padded(15, right=(0, 6))], ids=["left", "right"])
@pytest.mark.parametrize("window", [1, 4, 15])
def test_a_sliding_window_hides_what_left_it(mask, window):
    distance = torch.arange(15)[:, None] - torch.arange(15)
    check(mask, Scores(0.7), ((distance >= 0) & (distance < window))[None, None])


@given(st.integers(1, 12), st.integers(0, 9), st.integers(1, 3), st.integers(0, 99))
def test_statistics_equal_those_of_the_whole_matrix_at_any_shape(s, pad, g, seed):
    check(padded(s + pad, left=(pad, 0)), Scores(0.8), g=g, seed=seed)


def test_every_live_query_hands_out_a_weight_of_one():
    mask = padded(140, left=(0, 30), right=(11,))
    found = check(mask, Scores(0.5), h=1, g=3)
    torch.testing.assert_close(found[ATTENTION_RECEIVED].sum(-1)[:, 0], mask.sum(-1).double())
    assert (found[ATTENTION_RECEIVED].masked_select(~mask[:, None]) == 0).all()
    assert (found[LAST_USED].masked_select(~mask[:, None]) == 0).all()


def test_time_starts_at_one_with_the_first_live_query():
    mask = padded(6, left=(0, 4))
    found = check(mask, Scores(0.5), d=4)
    assert found[LAST_USED][1, :, 4].amin() >= 1
    assert found[LAST_USED][1].max() == 2


def test_statistics_of_half_precision_are_gathered_in_float32():
    mask = padded(40, left=(0,))
    q, k = inputs(mask, dtype=torch.bfloat16)
    found = observe(NAMES, q, k, mask, Scores(0.5))
    assert {x.dtype for x in found.values()} == {torch.float32}
    expected = written_out(q.float(), k.float(), mask, Scores(0.5))[ATTENTION_RECEIVED]
    torch.testing.assert_close(found[ATTENTION_RECEIVED], expected, atol=0.1, rtol=0.02)


def test_only_what_was_asked_for_is_gathered():
    mask = padded(5, left=(0,))
    assert observe((), *inputs(mask), mask, Scores(0.5)) == {}
    assert set(observe({LAST_USED}, *inputs(mask), mask, Scores(0.5))) == {LAST_USED}


def test_used_means_at_least_an_even_share_of_what_counts():
    weights = torch.tensor([[[[0.5, 0.5, 0.0, 1e-12], [0.2, 0.3, 0.5, 0.0]]]])[:, :, :, None]
    assert used(weights[:, :, :1])[0, 0, 0].tolist() == [True, True, False, False]
    assert used(weights[:, :, 1:])[0, 0, 0].tolist() == [False, False, True, False]
    assert used(weights)[0, 0, 0].tolist() == [True, True, False, False]
