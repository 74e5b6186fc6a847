"""Statistics of a prefill against the whole S x S attention matrix, written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention.draws import gumbel
from harness.attention.rope import Rope
from harness.attention.scores import Scores
from harness.attention.statistics import (
    AttentionReceived,
    BelowEven,
    GumbelReceived,
    LargestWeight,
    LastPivotal,
    LastQueries,
    LastUsed,
    LayerPrompt,
    QueryKeyMagnitude,
    QueryMoments,
    QuerySquare,
    ReceivedFromLast,
    ReceivedWithin,
    blocks,
    observe,
    used,
)
from harness.errors import InputError

RECEIVED, LAST_USED = AttentionReceived(), LastUsed()
ALL = (
    RECEIVED,
    LAST_USED,
    *(ReceivedWithin(window) for window in (1, 4, 7)),
    *(LastQueries(count) for count in (1, 6, 30)),
    *(ReceivedFromLast(count) for count in (1, 6, 30)),
    *(QuerySquare(count) for count in (1, 6, 30)),
    QueryKeyMagnitude(),
    *(LargestWeight(k, before, last) for k in (0, 3) for before in (False, True) for last in (None, 1, 5)),
    *(LastPivotal(count) for count in (1, 4, 30, 0.1, 0.4)),
    *(BelowEven(window) for window in (1, 6, 30)),
    *(GumbelReceived(tau, seed) for tau in (1.0, 1.5) for seed in (None, 0, 3)),
)


def written_out(q, k, mask, scores, window_mask=None):
    """Every statistic from one query after another, whose whole rows of weights are at hand."""
    s = q.shape[3]
    seen = torch.ones(s, s, dtype=torch.bool).tril() if window_mask is None else window_mask[0, 0]
    found = {statistic: [] for statistic in ALL}
    for row in range(len(q)):
        live = [i for i in range(s) if mask[row, i]]
        rows = []  # of each live query: its place, what it looks at, logits and weights [H, G, looked at]
        for i in live:
            looked_at = [j for j in live if seen[i, j]]
            logits = torch.einsum("hgd,hkd->hgk", q[row, :, :, i], k[row][:, looked_at]) * scores.scale
            if scores.cap is not None:
                logits = scores.cap * (logits / scores.cap).tanh()
            rows.append((i, looked_at, logits, logits.softmax(-1)))
        for statistic in ALL:
            found[statistic].append(WRITTEN_OUT[type(statistic)](q[row], k[row], live, rows, **vars(statistic)))
    return {statistic: torch.stack(of_rows) for statistic, of_rows in found.items()}


def received(q, _k, _live, rows):
    total = q.new_zeros(q.shape[0], q.shape[2])
    for _, looked_at, _, weights in rows:
        total[:, looked_at] += weights.mean(1)
    return total


def last_used(q, _k, _live, rows):
    last = q.new_zeros(q.shape[0], q.shape[2])
    for time, (_, looked_at, _, weights) in enumerate(rows, 1):
        mean = weights.mean(1)
        enough = 1 / (mean > 1e-9).sum(-1, keepdim=True)
        for head in range(len(q)):
            for column, is_used in zip(looked_at, mean[head] >= enough[head], strict=True):
                if is_used:
                    last[head, column] = time
    return last


def received_within(q, _k, live, rows, window):
    total = q.new_zeros(q.shape[:3])
    for i, looked_at, _, weights in rows:
        for place, j in enumerate(looked_at):
            if live.index(i) - live.index(j) < window:
                total[:, :, j] += weights[:, :, place]
    return total


def last_queries(q, _k, live, _rows, count):
    queries = [q[:, :, i] for i in live[-count:]]
    return torch.stack([torch.zeros_like(q[:, :, 0])] * (count - len(queries)) + queries, 2)


def received_from_last(q, _k, _live, rows, count):
    total = q.new_zeros(q.shape[:3])
    for _, looked_at, _, weights in rows[-count:]:
        total[:, :, looked_at] += weights
    return total


def query_square(q, _k, live, _rows, count):
    return torch.stack([q[:, :, i] ** 2 for i in live[-count:]]).mean(0)


def query_key_magnitude(q, k, live, _rows):
    return torch.stack([(q[:, :, i] * k[:, None, i]).abs().sum(1) for i in live]).mean(0)


def largest_weight(q, _k, _live, rows, k, before_softmax, last):
    found = q.new_full(q.shape[:3], torch.nan)
    for i, looked_at, logits, weights in rows[-last:] if last else rows:
        if len(looked_at) > k:
            found[:, :, i] = (logits if before_softmax else weights).sort(-1, descending=True).values[..., k]
    return found


def last_pivotal(q, _k, live, rows, count):
    last = q.new_zeros(q.shape[0], q.shape[2])
    if isinstance(count, float):
        count = max(1, len(live) - int((1 - count) * len(live)) - 1)
    for time, (_, looked_at, _, weights) in enumerate(rows, 1):
        mean = weights.mean(1)
        for head in range(len(q)):
            next_below = sorted(mean[head].tolist(), reverse=True)[count] if count < len(looked_at) else 0
            for column, weight in zip(looked_at, mean[head].tolist(), strict=True):
                if weight > next_below:
                    last[head, column] = time
    return last


def below_even(q, _k, _live, rows, window):
    found = torch.zeros(q.shape[0], window, q.shape[2], dtype=torch.bool)
    for place, (_, looked_at, _, weights) in enumerate(rows[-window:], window - min(window, len(rows))):
        found[:, place, looked_at] = weights.mean(1) < 1 / len(looked_at)
    return found


def gumbel_received(q, _k, live, rows, tau, seed):
    total = q.new_zeros(q.shape[0], q.shape[2])
    for i, looked_at, logits, _ in rows:
        keys = torch.tensor([live.index(j) for j in looked_at])
        for head in range(len(q)):
            noise = 0 if seed is None else gumbel(seed, 0, head, live.index(i), keys)
            total[head, looked_at] += ((logits[head] + noise) / tau).softmax(-1).mean(0)
    return total


WRITTEN_OUT = {
    AttentionReceived: received,
    LastUsed: last_used,
    ReceivedWithin: received_within,
    LastQueries: last_queries,
    ReceivedFromLast: received_from_last,
    QuerySquare: query_square,
    QueryKeyMagnitude: query_key_magnitude,
    LargestWeight: largest_weight,
    LastPivotal: last_pivotal,
    BelowEven: below_even,
    GumbelReceived: gumbel_received,
}


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
    hidden = ~mask[:, None, :, None]  # what stands at padding must not matter
    hostile = q.masked_fill(hidden[:, :, None], 1e3), k.masked_fill(hidden, 1e3)
    found = observe(ALL, LayerPrompt(*hostile, mask, scores, window_mask))
    expected = written_out(q, k, mask, scores, window_mask)
    assert set(found) == set(ALL)
    for statistic in ALL:
        torch.testing.assert_close(found[statistic], expected[statistic], atol=1e-10, rtol=0, equal_nan=True)
    return found


@pytest.fixture(params=[128, 5], ids=["one_block", "many_blocks"])
def _blocks(request, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", request.param)


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
    torch.testing.assert_close(found[RECEIVED].sum(-1)[:, 0], mask.sum(-1).double())
    assert (found[RECEIVED].masked_select(~mask[:, None]) == 0).all()
    assert (found[LAST_USED].masked_select(~mask[:, None]) == 0).all()


def test_time_starts_at_one_with_the_first_live_query():
    mask = padded(6, left=(0, 4))
    found = check(mask, Scores(0.5), d=4)
    assert found[LAST_USED][1, :, 4].amin() >= 1
    assert found[LAST_USED][1].max() == 2


def test_statistics_of_half_precision_are_gathered_in_float32_unless_they_are_yes_or_no():
    mask = padded(40, left=(0,))
    q, k = inputs(mask, dtype=torch.bfloat16)
    found = observe(ALL, LayerPrompt(q, k, mask, Scores(0.5)))
    assert {x.dtype for x in found.values()} == {torch.float32, torch.bool}
    expected = written_out(q.float(), k.float(), mask, Scores(0.5))[RECEIVED]
    torch.testing.assert_close(found[RECEIVED], expected, atol=0.1, rtol=0.02)


def test_only_what_was_asked_for_is_gathered():
    mask = padded(5, left=(0,))
    assert observe((), LayerPrompt(*inputs(mask), mask, Scores(0.5))) == {}
    assert set(observe({LAST_USED}, LayerPrompt(*inputs(mask), mask, Scores(0.5)))) == {LAST_USED}


def test_used_means_at_least_an_even_share_of_what_counts():
    weights = torch.tensor([[[[0.5, 0.5, 0.0, 1e-12], [0.2, 0.3, 0.5, 0.0]]]])[:, :, :, None]
    assert used(weights[:, :, :1])[0, 0, 0].tolist() == [True, True, False, False]
    assert used(weights[:, :, 1:])[0, 0, 0].tolist() == [False, False, True, False]
    assert used(weights)[0, 0, 0].tolist() == [True, True, False, False]


def test_a_statistic_is_known_by_its_parameters():
    assert LastQueries(3) == LastQueries(3) != LastQueries(4)
    assert len({LastQueries(3), LastQueries(3), QuerySquare(3), RECEIVED, LAST_USED}) == 4


def test_attention_weights_are_computed_for_those_alone_that_need_them(monkeypatch):
    mask = padded(9, left=(0,))
    q, k = inputs(mask)
    monkeypatch.setattr(blocks.Block, "logits", property(lambda _: pytest.fail("weights were computed")))
    observe([LastQueries(2), QuerySquare(2), QueryKeyMagnitude()], LayerPrompt(q, k, mask, Scores(0.5)))


def test_exactly_k_tokens_lie_above_the_threshold_of_a_query():
    mask = padded(40, left=(0,))
    q, k = inputs(mask, h=1, g=1)
    threshold = observe([LargestWeight(7)], LayerPrompt(q, k, None, Scores(0.5)))[LargestWeight(7)][0, 0, 0]
    weights = (q[0, 0, 0] @ k[0, 0].T * 0.5).masked_fill(~torch.ones(40, 40).tril().bool(), -torch.inf).softmax(-1)
    assert threshold[:7].isnan().all()
    assert ((weights > threshold[:, None]).sum(-1)[7:] == 7).all()


@pytest.mark.usefixtures("_blocks")
@pytest.mark.parametrize("mask", [padded(17, left=(0, 3, 16)), padded(17, right=(0, 7))], ids=["left", "right"])
@pytest.mark.parametrize("skip", [0, 4])
@pytest.mark.parametrize("rope", [Rope.plain(100, 4), Rope.plain(10, 2), Rope(torch.zeros(0))], ids=lambda r: r.width)
def test_moments_are_of_queries_before_rotation_behind_the_first(mask, skip, rope):
    q, k = inputs(mask)
    hostile = q.masked_fill(~mask[:, None, None, :, None], 1e3)
    statistic = QueryMoments(skip)
    found = observe([statistic], LayerPrompt(hostile, k, mask, Scores(0.3), rope=rope))[statistic]
    for row, of_row in enumerate(mask):
        live = q[row][:, :, of_row]
        bare = [0.3 * rope.unrotate(live[:, :, i], torch.tensor(i)) for i in range(skip, live.shape[2])]
        if not bare:
            assert (found[row] == 0).all()
            continue
        mean = sum(bare) / len(bare)
        spread = sum((x - mean)[..., :, None] * (x - mean)[..., None, :] for x in bare) / len(bare)
        torch.testing.assert_close(found[row], torch.cat([mean[:, :, None], spread], 2), atol=1e-10, rtol=0)


def test_a_covariance_in_float32_survives_a_large_mean():
    mask = padded(300, left=(0,))
    q, k = inputs(mask, dtype=torch.float32)
    moments, none = QueryMoments(0), Rope(torch.zeros(0))
    plain, moved = (
        observe([moments], LayerPrompt(of, k, mask, Scores(1.0), rope=none))[moments] for of in (q, q + 1000)
    )
    assert plain.dtype == torch.float32
    torch.testing.assert_close(moved[..., 1:, :], plain[..., 1:, :], atol=0.01, rtol=0)


def test_moments_without_a_rotary_embedding_are_refused():
    mask = padded(5, left=(0,))
    with pytest.raises(InputError, match="rotary embedding is not known here"):
        observe([QueryMoments(0)], LayerPrompt(*inputs(mask), mask, Scores(0.5)))
