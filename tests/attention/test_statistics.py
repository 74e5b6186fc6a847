"""Statistics of a prefill against the whole S x S attention matrix, written out."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.written_out import ALL, LAST_USED, RECEIVED, written_out

from harness.attention.rope import Rope
from harness.attention.scores import Scores
from harness.attention.statistics import (
    LargestWeight,
    LastQueries,
    LayerPrompt,
    QueryKeyMagnitude,
    QueryMoments,
    QuerySquare,
    blocks,
    observe,
    used,
)
from harness.errors import InputError


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
