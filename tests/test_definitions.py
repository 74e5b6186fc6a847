"""Each method against its definition, written out in loops over rows, KV heads and tokens (numpy, float64)."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from harness.attention import decode
from harness.methods import create
from harness.scores import Scores
from support import random_case, steps


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


class Head:
    """One KV head of one row, live tokens only: q [G, n, D], k and v [n, D], of which p are the prompt."""

    def __init__(self, q, k, v, p, scores):
        self.q, self.k, self.v, self.p, self.scores = q, k, v, p, scores

    def logits(self, q, k):
        raw = self.scores.scale * np.array([[float(np.dot(qi, kj)) for kj in k] for qi in q])
        return raw if self.scores.cap is None else self.scores.cap * np.tanh(raw / self.scores.cap)

    def outputs(self, method):
        """[G, T, D]: method(self, n) is the output [G, D] when n tokens are cached, called in order."""
        return np.stack([method(self, n) for n in range(self.p + 1, self.k.shape[0] + 1)], 1)

    def over(self, kept, n):
        """Exact attention of the newest of n tokens over the kept ones."""
        kept = sorted(kept)
        weights = softmax(self.logits(self.q[:, n - 1], self.k[kept]))
        return weights @ self.v[kept], weights, kept


def best(score, count):
    """Indices of the highest scores; ties to the newest."""
    return sorted(range(len(score)), key=lambda i: (score[i], i), reverse=True)[:count]


def finish(head, n, logits, k, local, reallocate):
    """SparQ's steps 3 to 5."""
    total = logits.sum(0)
    kept = best([math.inf if n - 1 - i <= local else total[i] for i in range(n)], k + 1)
    output, _, _ = head.over(kept, n)
    if not reallocate:
        return output
    alpha = softmax(logits)[:, kept].sum(-1, keepdims=True)
    return alpha * output + (1 - alpha) * head.v[:n].mean(0)


def sparq(r, k, local, reallocate):
    def attend(head, n):
        q = head.q[:, n - 1]
        channels = best(np.abs(q).sum(0), r)
        share = np.abs(q[:, channels]).sum(-1) / np.abs(q).sum(-1)
        d = q.shape[-1]
        temperature = np.sqrt(d * share)
        logits = np.stack([head.k[:n][:, channels] @ q[g, channels] / temperature[g] for g in range(len(q))])
        return finish(head, n, logits * head.scores.scale * math.sqrt(d), k, local, reallocate)

    return attend


def low_rank(basis, k, local, reallocate):
    def attend(head, n):
        logits = head.logits(head.q[:, n - 1] @ basis, head.k[:n] @ basis)
        return finish(head, n, logits, k, local, reallocate)

    return attend


def flexgen(k, reallocate, before_softmax):
    def attend(head, n):
        logits = head.logits(head.q[:, n - 1], head.k[:n])
        weights = softmax(logits)
        kept = best(weights.sum(0), k)
        dropped = [i for i in range(n) if i not in kept]
        if before_softmax:
            return head.over(kept, n)[0]
        output = weights[:, kept] @ head.v[kept]
        if reallocate and dropped:
            output = output + weights[:, dropped].sum(-1, keepdims=True) * head.v[dropped].mean(0)
        return output

    return attend


def lm_infinite(k, initial):
    def attend(head, n):
        return head.over({*range(min(initial, n)), *range(max(0, n - (k - initial)), n)}, n)[0]

    return attend


def oracle(k):
    def attend(head, n):
        weights = softmax(head.logits(head.q[:, n - 1], head.k[:n]))
        return head.over(best(weights.sum(0), k), n)[0]

    return attend


class Eviction:
    """H2O, or LRU with ties to the newest."""

    def __init__(self, k, local, lru):
        self.k, self.local, self.lru = k, local, lru
        self.score = {}

    def see(self, weights, tokens, time):
        mean = weights.mean(0)
        looked_at = sum(w > 1e-9 for w in mean)
        for weight, token in zip(mean, tokens, strict=True):
            if not self.lru:
                self.score[token] += weight
            elif weight >= 1 / looked_at:
                self.score[token] = time

    def __call__(self, head, n):
        if not self.score:
            self.score = dict.fromkeys(range(head.p), 0.0)
            for i in range(head.p):
                weights = softmax(head.logits(head.q[:, i], head.k[: i + 1]))
                self.see(weights, range(i + 1), i + 1)
        self.score[n - 1] = 0.0
        tokens = sorted(self.score)
        kept = best([math.inf if n - 1 - i <= self.local else self.score[i] for i in tokens], self.k + 1)
        self.score = {tokens[i]: self.score[tokens[i]] for i in kept}
        output, weights, kept = head.over(self.score, n)
        self.see(weights, kept, n)
        return output


def by_definition(case, scores, make):
    """[B, Hq, T, D]: make(row, head) gives the method for one KV head of one row."""
    q, k, v, mask, p = (x.numpy() if isinstance(x, torch.Tensor) else x for x in case)
    h, g = k.shape[1], q.shape[1] // k.shape[1]
    rows = []
    for row in range(len(q)):
        live = mask[row]
        start = p - int((~live).sum())
        heads = [
            Head(q[row, i * g : (i + 1) * g][:, live], k[row, i][live], v[row, i][live], start, scores)
            for i in range(h)
        ]
        rows.append(np.concatenate([head.outputs(make(row, i)) for i, head in enumerate(heads)]))
    return torch.from_numpy(np.stack(rows))


cases = st.builds(
    lambda pads, h, g, p, t, seed: random_case(tuple(pads), h, g, p, t, 6, seed),
    st.lists(st.integers(0, 8), min_size=1, max_size=2),
    st.integers(1, 2),
    st.integers(1, 3),
    st.integers(9, 24),
    st.integers(1, 5),
    st.integers(0, 999),
)
architectures = st.sampled_from([Scores(6**-0.5), Scores(0.9), Scores(0.3)])
capped = st.sampled_from([Scores(6**-0.5), Scores(0.9), Scores(0.8, 1.5)])
budgets = st.integers(2, 20)
recent = st.integers(0, 5)


def check(name, knobs, case, scores, make):
    found = decode(create(name, **knobs), *case, scores)
    torch.testing.assert_close(found, by_definition(case, scores, make), atol=1e-9, rtol=0)


@given(cases, architectures, st.integers(1, 6), budgets, recent, st.booleans())
def test_sparq_is_algorithm_1_of_its_paper(case, scores, r, k, local, reallocate):
    knobs = {"r": r, "k": k, "local": min(local, k), "reallocate": reallocate}
    check("sparq", knobs, case, scores, lambda *_: sparq(**knobs))


@given(cases, budgets, recent)
def test_h2o_sums_the_attention_that_a_token_received(case, k, local):
    check("h2o", {"k": k, "local": local}, case, Scores(0.9), lambda *_: Eviction(k, local, lru=False))


@given(cases, capped, budgets, recent)
def test_lru_evicts_what_was_used_longest_ago(case, scores, k, local):
    knobs = {"k": k, "local": local, "ties": "newest"}
    check("lru", knobs, case, scores, lambda *_: Eviction(k, local, lru=True))


@given(cases, capped, st.integers(1, 20), st.integers(0, 6))
def test_lm_infinite_keeps_the_first_and_the_last(case, scores, more, initial):
    knobs = {"k": initial + more, "initial": initial}
    check("lm_infinite", knobs, case, scores, lambda *_: lm_infinite(**knobs))


@given(cases, capped, st.integers(1, 20), st.sampled_from([(False, False), (True, False), (False, True)]))
def test_flexgen_reads_only_the_rows_of_v_with_the_most_weight(case, scores, k, variant):
    knobs = {"k": k, "reallocate": variant[0], "before_softmax": variant[1]}
    check("flexgen", knobs, case, scores, lambda *_: flexgen(**knobs))


@given(cases, capped, st.integers(1, 20))
def test_the_oracle_keeps_the_largest_weights(case, scores, k):
    check("oracle_topk", {"k": k}, case, scores, lambda *_: oracle(k))


@given(cases, capped, st.integers(1, 6), budgets, recent, st.booleans())
def test_low_rank_is_sparq_with_a_projection(case, scores, r, k, local, reallocate):
    knobs = {"r": r, "k": k, "local": min(local, k), "reallocate": reallocate}
    _, state = next(steps(case, create("low_rank", **knobs)))
    basis = state.basis.numpy()
    for projection in basis:
        np.testing.assert_allclose(projection.T @ projection, np.eye(r), atol=1e-12)
    check("low_rank", knobs, case, scores, lambda _, i: low_rank(basis[i], k, min(local, k), reallocate))


@pytest.mark.parametrize("name", ["sparq", "h2o", "lru", "low_rank"])
def test_a_quarter_of_k_is_local_by_default(name):
    more = {"r": 2} if name in ("sparq", "low_rank") else {}
    case = random_case(p=30)
    default = decode(create(name, k=10, **more), *case)
    assert torch.equal(default, decode(create(name, k=10, local=2, **more), *case))
    assert not torch.equal(default, decode(create(name, k=10, local=8, **more), *case))


def kept_by(method, case):
    """Sets of tokens that each step, row and KV head attended to, read off the output of one-hot values."""
    case.v[:] = torch.eye(case.v.shape[2], case.v.shape[3], dtype=case.v.dtype)
    return decode(method, *case).abs() > 1e-12


def test_random_k_keeps_the_newest_and_k_in_all():
    case = random_case(pads=(0, 7), g=1, p=18, t=5, d=24)
    kept = kept_by(create("random_k", k=6), case)
    assert (kept.sum(-1) == 6).all()
    for t in range(5):
        assert kept[:, :, t, 18 + t].all()
    assert not kept[1, :, :, :7].any()
    assert (kept[:, 0] != kept[:, 1]).any()
    assert all((kept[:, :, t] != kept[:, :, t + 1]).sum() > 2 for t in range(4))


def test_random_k_draws_the_same_for_a_seed_and_others_for_another():
    case = random_case(g=1, d=24)
    first, again = (kept_by(create("random_k", k=6, seed=3), case) for _ in range(2))
    assert torch.equal(first, again)
    assert not torch.equal(first, kept_by(create("random_k", k=6, seed=4), case))


def test_random_k_chooses_every_old_token_about_equally_often():
    case = random_case(pads=(0,), h=40, g=1, p=23, t=1, d=24)
    draws = [kept_by(create("random_k", k=5, seed=seed), case)[0, :, 0, :23] for seed in range(10)]
    often = torch.cat(draws).double().mean(0)
    assert often.sum() == pytest.approx(4)
    assert (often - 4 / 23).abs().max() < 0.09
