"""Each method against its definition, written out slowly in by_definition.py."""

import numpy as np
import pytest
import torch
from by_definition import Eviction, by_definition, flexgen, lm_infinite, low_rank, oracle, sparq
from hypothesis import given
from hypothesis import strategies as st
from support import random_case, steps

from harness.attention.scores import Scores
from harness.methods import create, decode

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


@given(st.integers(0, 999))
def test_what_a_token_receives_while_decoding_counts_as_much_as_in_the_prompt(seed):
    case = random_case((0, 3), h=2, g=3, p=9, t=24, d=6, seed=seed)
    check("h2o", {"k": 6, "local": 1}, case, Scores(0.9), lambda *_: Eviction(6, 1, lru=False))


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
