"""What must be true of every method, whatever it does. float64 unless a test says otherwise."""

import dataclasses

import pytest
import torch
from support import VARIANTS, Case, close, each_method, full, place_of, random_case, run

from harness import methods
from harness.attention import top_newest
from harness.attention.scores import Scores
from harness.methods import decode
from harness.methods.controls.dense import Dense

every_method = each_method()


def dense_by_hand(case, scores):
    q, k, v, mask, p = case
    n, g = q.shape[2], q.shape[1] // k.shape[1]
    seen = mask[:, None, None] & torch.ones(n, n, dtype=torch.bool).tril()
    weights = scores(q, k.repeat_interleave(g, 1)).masked_fill(~seen, -torch.inf).softmax(-1)
    return (weights @ v.repeat_interleave(g, 1))[:, :, p:]


@every_method
def test_a_full_budget_is_dense_attention(name, knobs, layer):
    case = random_case()
    close(run(name, full(name, knobs), case, layer), dense_by_hand(case, Scores(8**-0.5)))


@each_method([variant for variant in VARIANTS if "k" in variant[1]])
def test_a_budget_of_k_alone_drops_nothing(name, knobs, layer):
    case = random_case()
    close(run(name, {**knobs, "k": 100}, case, layer), dense_by_hand(case, Scores(8**-0.5)))


@every_method
def test_the_small_budget_is_not_dense_attention(name, knobs, layer):
    case = random_case()
    difference = (run(name, knobs, case, layer) - dense_by_hand(case, Scores(8**-0.5))).abs().max()
    assert (difference < 1e-12) == methods.find(name).is_dense


@every_method
@pytest.mark.parametrize("hostile", [1e4, float("nan")])
def test_padding_is_never_seen_whatever_it_holds(name, knobs, layer, hostile):
    case = random_case(pads=(5, 16))
    poisoned = [x.masked_fill(~case.mask[:, None, :, None], hostile) for x in (case.q, case.k, case.v)]
    close(
        run(name, knobs, dataclasses.replace(case, **dict(zip("qkv", poisoned, strict=True))), layer),
        run(name, knobs, case, layer),
    )


@every_method
@pytest.mark.parametrize("pad", [1, 9, 17])
def test_a_left_padded_row_equals_the_unpadded_row(name, knobs, layer, pad):
    case = random_case(pads=(0, pad))
    bare = [x[1:, :, pad:] for x in (case.q, case.k, case.v)]
    alone = run(name, knobs, Case(*bare, case.mask[1:, pad:], case.p - pad), layer)
    close(run(name, knobs, case, layer)[1:], alone)


@every_method
def test_batch_rows_do_not_see_each_other(name, knobs, layer):
    case = random_case(pads=(0, 4, 11))
    together = run(name, knobs, case, layer)
    for row in range(3):
        one = slice(row, row + 1)
        alone = run(name, knobs, Case(*(x[one] for x in list(case)[:4]), case.p), layer)
        close(together[one], alone)


@every_method
def test_equal_query_heads_of_a_group_are_one_head(name, knobs, layer):
    single = random_case(g=1)
    triple = dataclasses.replace(single, q=single.q.repeat_interleave(3, 1))
    close(run(name, knobs, triple, layer), run(name, knobs, single, layer).repeat_interleave(3, 1))


@every_method
@pytest.mark.parametrize("heads", [[0], [0, 1, 2, 3, 4, 5]], ids=["one", "all"])
def test_a_zero_query_gives_a_finite_output(name, knobs, layer, heads):
    case = random_case()
    case.q[:, heads, case.p :] = 0
    assert run(name, knobs, case, layer).isfinite().all()


@every_method
def test_a_method_leaves_queries_keys_and_values_as_they_were(name, knobs, layer):
    case, untouched = random_case(), random_case()
    run(name, knobs, case, layer)
    assert all(torch.equal(a, b) for a, b in zip(list(case)[:4], list(untouched)[:4], strict=True))


@pytest.mark.parametrize("layer", (0, 3))
def test_a_method_can_be_used_again_and_after_any_other(layer):
    case, made = random_case(), [methods.create(name, **knobs) for name, knobs in VARIANTS]
    places = [place_of(method, case, layer) for method in made]
    forwards = [decode(method, *case, **place) for method, place in zip(made, places, strict=True)]
    backwards = [decode(method, *case, **place) for method, place in zip(made[::-1], places[::-1], strict=True)][::-1]
    pairs = zip(made, forwards, backwards, strict=True)
    assert [method for method, first, again in pairs if not torch.equal(first, again)] == []


@every_method
def test_the_softmax_scale_multiplies_the_query(name, knobs, layer):
    case = random_case()
    louder = dataclasses.replace(case, q=case.q * 3)
    close(run(name, knobs, case, layer, Scores(0.6)), run(name, knobs, louder, layer, Scores(0.2)))


@every_method
def test_a_full_budget_honours_the_soft_cap(name, knobs, layer):
    case, capped = random_case(), Scores(8**-0.5, 0.3)
    close(run(name, full(name, knobs), case, layer, capped), dense_by_hand(case, capped))


@every_method
def test_the_soft_cap_is_honoured(name, knobs, layer):
    case, capped = random_case(), Scores(8**-0.5, 0.3)
    assert (run(name, knobs, case, layer, capped) - run(name, knobs, case, layer)).abs().max() > 1e-3
    close(run(name, knobs, case, layer, Scores(8**-0.5, 1e7)), run(name, knobs, case, layer), 1e-9)


@every_method
def test_bfloat16_is_close_to_float32(name, knobs, layer):
    half = random_case(p=60, dtype=torch.bfloat16, seed=3)
    single = dataclasses.replace(half, **{name: getattr(half, name).float() for name in "qkv"})
    found, expected = run(name, knobs, half, layer), run(name, knobs, single, layer)
    assert found.dtype == torch.bfloat16
    assert expected.dtype == torch.float32
    assert (found.float() - expected).abs().median() < 0.01


class DenseAtFirst(Dense):
    """A made-up method that is dense attention in the first layer, and forgets the mask in all others."""

    def start(self, prefix):
        return prefix.layer

    def attend(self, step, state):
        return super().attend(step if state == 0 else dataclasses.replace(step, mask=torch.ones_like(step.mask)), None)


def test_a_method_that_is_broken_above_the_first_layer_is_caught(monkeypatch):
    monkeypatch.setattr(methods, "create", lambda _: DenseAtFirst())
    test_a_left_padded_row_equals_the_unpadded_row("made_up", {}, 0, 9)
    with pytest.raises(AssertionError, match="not close"):
        test_a_left_padded_row_equals_the_unpadded_row("made_up", {}, 3, 9)


def test_exact_ties_go_to_the_newest():
    scores = torch.tensor([[1.0, 2.0, 1.0, 2.0, -0.0, 0.0, 1.0]])
    assert set(top_newest(scores, 3)[0].tolist()) == {1, 3, 6}
    assert set(top_newest(torch.zeros(1, 5) * -1, 2)[0].tolist()) == {3, 4}
    backwards = torch.arange(5).flip(0)
    assert set(top_newest(torch.zeros(1, 5), 2, backwards)[0].tolist()) == {0, 1}
