"""What must be true of every method, whatever it does. float64 unless a test says otherwise."""

import dataclasses

import pytest
import torch

from harness import methods
from harness.attention import decode, top_newest
from harness.budget import dense_transfers
from harness.errors import InputError
from harness.methods.oracle_topk import OracleTopK
from harness.scores import Scores
from support import KNOBS, VARIANTS, label, random_case, steps
from tracing import trace

every_method = pytest.mark.parametrize(("name", "knobs"), VARIANTS, ids=[label(v) for v in VARIANTS])
FULL = {"r": 8, "k": 100}


def run(name, knobs, case, scores=None):
    return decode(methods.create(name, **knobs), *case, scores)


def dense_by_hand(case, scores):
    q, k, v, mask, p = case
    n, g = q.shape[2], q.shape[1] // k.shape[1]
    seen = mask[:, None, None] & torch.ones(n, n, dtype=torch.bool).tril()
    weights = scores(q, k.repeat_interleave(g, 1)).masked_fill(~seen, -torch.inf).softmax(-1)
    return (weights @ v.repeat_interleave(g, 1))[:, :, p:]


def close(found, expected, tolerance=1e-11):
    torch.testing.assert_close(found, expected, atol=tolerance, rtol=0)


def test_every_method_is_held_to_the_laws():
    assert set(KNOBS) == set(methods.names())


@every_method
def test_a_full_budget_is_dense_attention(name, knobs):
    case = random_case()
    full = {knob: FULL.get(knob, value) for knob, value in knobs.items()}
    close(run(name, full, case), dense_by_hand(case, Scores(8**-0.5)))


@every_method
def test_a_budget_of_k_alone_drops_nothing(name, knobs):
    case = random_case()
    full = {knob: value if knob != "k" else 100 for knob, value in knobs.items()}
    close(run(name, full, case), dense_by_hand(case, Scores(8**-0.5)))


@every_method
def test_the_small_budget_is_not_dense_attention(name, knobs):
    case = random_case()
    difference = (run(name, knobs, case) - dense_by_hand(case, Scores(8**-0.5))).abs().max()
    assert (difference < 1e-12) == methods.find(name).lossless


@every_method
def test_entries_with_a_gradient_are_paid_for(name, knobs):
    method, case = methods.create(name, **knobs), random_case(p=40)
    for step, state in steps(case, method):
        k, v = (x.clone().requires_grad_(True) for x in (step.k, step.v))
        output = method.attend(dataclasses.replace(step, k=k, v=v), state)
        grads = torch.autograd.grad(output.square().sum(), (k, v), allow_unused=True, retain_graph=True)
        used = sum((grad != 0).sum((2, 3)) for grad in grads if grad is not None)
        assert used.max() > 0
        assert used.max() <= method.transfers(step.length, 8)


def entries_read(method, step, state):
    """Most entries of K and V that a KV head read in a step."""
    k, k_read = trace(step.k)
    v, v_read = trace(step.v)
    method.attend(dataclasses.replace(step, k=k, v=v), state)
    return int((k_read.sum((2, 3)) + v_read.sum((2, 3))).max())


@every_method
def test_entries_read_to_choose_or_to_attend_are_paid_for(name, knobs):
    method, case = methods.create(name, **knobs), random_case(pads=(0, 0), p=40)
    if method.clairvoyant:
        pytest.skip("a control that chooses for free, and says so")
    for step, state in steps(case, method):
        assert 0 < entries_read(method, step, state) <= method.transfers(step.length, 8)


def test_the_tracer_counts_all_that_dense_attention_reads():
    method, case = methods.create("dense"), random_case(pads=(0, 0))
    for step, state in steps(case, method):
        assert entries_read(method, step, state) == 2 * step.length * 8 == dense_transfers(step.length, 8) - 16


def test_the_tracer_sees_keys_that_are_read_only_to_choose():
    method, case = OracleTopK(k=3), random_case(pads=(0, 0), p=40)
    for step, state in steps(case, method):
        assert entries_read(method, step, state) == step.length * 8 + 3 * 8 > method.transfers(step.length, 8)


@every_method
@pytest.mark.parametrize("hostile", [1e4, float("nan")])
def test_padding_is_never_seen_whatever_it_holds(name, knobs, hostile):
    case = random_case(pads=(5, 16))
    poisoned = [x.masked_fill(~case.mask[:, None, :, None], hostile) for x in (case.q, case.k, case.v)]
    close(run(name, knobs, dataclasses.replace(case, **dict(zip("qkv", poisoned, strict=True)))), run(name, knobs, case))


@every_method
@pytest.mark.parametrize("pad", [1, 9, 17])
def test_a_left_padded_row_equals_the_unpadded_row(name, knobs, pad):
    case = random_case(pads=(0, pad))
    bare = [x[1:, :, pad:] for x in (case.q, case.k, case.v)]
    alone = decode(methods.create(name, **knobs), *bare, case.mask[1:, pad:], case.p - pad)
    close(run(name, knobs, case)[1:], alone)


@every_method
def test_batch_rows_do_not_see_each_other(name, knobs):
    case = random_case(pads=(0, 4, 11))
    together = run(name, knobs, case)
    for row in range(3):
        one = slice(row, row + 1)
        close(together[one], decode(methods.create(name, **knobs), *(x[one] for x in list(case)[:4]), case.p))


@every_method
def test_equal_query_heads_of_a_group_are_one_head(name, knobs):
    single = random_case(g=1)
    triple = dataclasses.replace(single, q=single.q.repeat_interleave(3, 1))
    close(run(name, knobs, triple), run(name, knobs, single).repeat_interleave(3, 1))


@every_method
@pytest.mark.parametrize("heads", [[0], [0, 1, 2, 3, 4, 5]], ids=["one", "all"])
def test_a_zero_query_gives_a_finite_output(name, knobs, heads):
    case = random_case()
    case.q[:, heads, case.p :] = 0
    assert run(name, knobs, case).isfinite().all()


@every_method
def test_a_method_leaves_queries_keys_and_values_as_they_were(name, knobs):
    case, untouched = random_case(), random_case()
    run(name, knobs, case)
    assert all(torch.equal(a, b) for a, b in zip(list(case)[:4], list(untouched)[:4], strict=True))


@every_method
def test_a_method_can_be_used_again_and_after_any_other(name, knobs):
    case, method = random_case(), methods.create(name, **knobs)
    first = decode(method, *case)
    for other, settings in VARIANTS:
        run(other, settings, case)
    assert torch.equal(decode(method, *case), first)


@pytest.mark.parametrize("name", methods.names())
def test_solved_knobs_keep_to_the_ratio_and_grow_with_it(name):
    cls = methods.find(name)
    for n, d in ((100, 16), (1200, 64), (4000, 128)):
        moved = []
        for ratio in (1, 1.25, 1.5, 2, 3, 4, 8, 16, 32):
            for fixed in [{}] + [{"k": n // 64}] * ("r" in methods.knobs(cls)):
                try:
                    method = methods.solve(name, ratio, n, d, **fixed)
                except InputError:
                    continue
                assert method.transfers(n, d) <= dense_transfers(n, d) / ratio
                assert all(getattr(method, knob) == value for knob, value in fixed.items())
                if not fixed:
                    moved.append(method.transfers(n, d))
        assert moved == sorted(moved, reverse=True)
        assert moved


@every_method
def test_the_softmax_scale_multiplies_the_query(name, knobs):
    case = random_case()
    louder = dataclasses.replace(case, q=case.q * 3)
    close(run(name, knobs, case, Scores(0.6)), run(name, knobs, louder, Scores(0.2)))


@every_method
def test_the_soft_cap_is_honoured(name, knobs):
    case = random_case()
    full = {knob: FULL.get(knob, value) for knob, value in knobs.items()}
    capped = Scores(8**-0.5, 0.3)
    close(run(name, full, case, capped), dense_by_hand(case, capped))
    assert (run(name, knobs, case, capped) - run(name, knobs, case)).abs().max() > 1e-3
    close(run(name, knobs, case, Scores(8**-0.5, 1e7)), run(name, knobs, case), 1e-9)


@every_method
def test_bfloat16_is_close_to_float32(name, knobs):
    half = random_case(p=60, dtype=torch.bfloat16, seed=3)
    single = dataclasses.replace(half, **{name: getattr(half, name).float() for name in "qkv"})
    found, expected = run(name, knobs, half), run(name, knobs, single)
    assert found.dtype == torch.bfloat16
    assert expected.dtype == torch.float32
    assert (found.float() - expected).abs().median() < 0.01


@every_method
@pytest.mark.parametrize("window", [3, 9])
def test_a_sliding_window_equals_starting_anew_at_every_step(name, knobs, window):
    method, case = methods.create(name, **knobs), random_case(p=14, t=6)
    if method.observes:
        pytest.skip("its state is the history of evictions, which no later start can know")
    for step, state in steps(case, method, sliding_window=window):
        fresh = dataclasses.replace(case, p=step.length - 1)
        fresh_step, fresh_state = next(steps(fresh, method, sliding_window=window))
        if name == "random_k":
            fresh_state = dataclasses.replace(state)
        close(method.attend(step, state), method.attend(fresh_step, fresh_state))


@every_method
@pytest.mark.parametrize("window", [3, 9])
def test_tokens_that_a_sliding_window_dropped_have_no_influence(name, knobs, window):
    method, case = methods.create(name, **knobs), random_case(p=14, t=6)
    hostile = random_case(p=14, t=6)
    hostile.v[:, :, : 15 - window] += 100
    hostile.k[:, :, : 15 - window] *= -1
    pairs = zip(steps(case, method, sliding_window=window), steps(hostile, method, sliding_window=window), strict=True)
    for (step, state), (other, other_state) in pairs:
        if isinstance(getattr(state, "score", None), torch.Tensor):
            other_state.score = state.score.clone()
        close(method.attend(step, state), method.attend(other, other_state), 1e-9)


def test_exact_ties_go_to_the_newest():
    scores = torch.tensor([[1.0, 2.0, 1.0, 2.0, -0.0, 0.0, 1.0]])
    assert set(top_newest(scores, 3)[0].tolist()) == {1, 3, 6}
    assert set(top_newest(torch.zeros(1, 5) * -1, 2)[0].tolist()) == {3, 4}
    backwards = torch.arange(5).flip(0)
    assert set(top_newest(torch.zeros(1, 5), 2, backwards)[0].tolist()) == {0, 1}
