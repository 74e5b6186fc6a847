"""Tokens that are drawn: from the probabilities of transformers, with numbers that do not depend on the method."""

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support import architectures
from support.engine_runs import NEW, cells, generation, sharing
from support.engine_runs import engine as make_engine
from transformers import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from harness.engine import Engine, NotFiniteError, Prompt, Rule, Sampling
from harness.engine.choosing import draw, filtered, penalised, uniform
from harness.hf.bridge import Bridge

SAMPLINGS = {
    "temperature": Sampling(0.7),
    "hot": Sampling(3.0),
    "top_k": Sampling(1.0, top_k=5),
    "top_k_1": Sampling(1.0, top_k=1),
    "top_k_beyond_the_vocabulary": Sampling(1.0, top_k=500),
    "top_p": Sampling(1.0, top_p=0.8),
    "top_p_tiny": Sampling(1.0, top_p=1e-6),
    "min_p": Sampling(1.0, min_p=0.2),
    "all": Sampling(0.6, top_k=20, top_p=0.9, min_p=0.02),
}
SAMPLED = Rule(sampling=Sampling(1.5, top_k=20, top_p=0.95))


def logits(rows=6, tokens=50, seed=0):
    return 3 * torch.randn(rows, tokens, generator=torch.Generator().manual_seed(seed))


def of_transformers(scores, sampling):
    """Probabilities after the warpers that `generate` would apply, in its order."""
    warpers = [TemperatureLogitsWarper(sampling.temperature)]
    warpers += [TopKLogitsWarper(sampling.top_k)] if sampling.top_k else []
    warpers += [TopPLogitsWarper(sampling.top_p)] if sampling.top_p < 1 else []
    warpers += [MinPLogitsWarper(sampling.min_p)] if sampling.min_p else []
    for warper in warpers:
        scores = warper(None, scores)
    return scores.softmax(-1)


@pytest.mark.parametrize("sampling", SAMPLINGS.values(), ids=SAMPLINGS)
def test_probabilities_are_those_of_transformers_warpers(sampling):
    tied = torch.cat([logits(), torch.zeros(1, 50), torch.tensor([[1.0, 2.0] * 25])])
    torch.testing.assert_close(filtered(tied, sampling), of_transformers(tied, sampling), atol=1e-7, rtol=0)


def test_the_penalty_of_repetition_is_that_of_transformers():
    scores, tokens = logits(), torch.randint(50, (6, 9))
    seen = torch.zeros(6, 50, dtype=torch.bool).scatter_(1, tokens, True)
    expected = RepetitionPenaltyLogitsProcessor(1.3)(tokens, scores)
    assert torch.equal(penalised(scores, seen, 1.3), expected)


@given(st.integers(0, 2**32), st.floats(0, 1, exclude_max=True))
def test_a_token_is_drawn_by_inverse_transform(seed, number):
    (probabilities,) = filtered(logits(1, seed=seed), Sampling(1.0, top_k=7)).double()
    total, expected = 0.0, None
    for token, probability in enumerate(probabilities.tolist()):
        total += probability
        if total > number * float(probabilities.sum()):
            expected = token
            break
    assert int(draw(probabilities[None], torch.tensor([number], dtype=torch.float64))) == expected


def test_only_tokens_that_can_be_drawn_are_drawn_at_the_ends_of_the_interval():
    probabilities = torch.tensor([[0.0, 0.25, 0.0, 0.75, 0.0]])
    numbers = torch.tensor([0.0, 1 - 2.0**-48], dtype=torch.float64)
    assert draw(probabilities.repeat(2, 1), numbers).tolist() == [1, 3]


def test_random_numbers_are_spread_evenly_and_differ_by_seed_and_step():
    numbers = torch.tensor(
        [[uniform(f"s{seed}", step) for step in range(200)] for seed in range(50)], dtype=torch.float64
    )
    assert len(set(numbers.flatten().tolist())) == 10_000
    counts = torch.histc(numbers, 10, 0, 1)
    assert float(((counts - 1000) ** 2 / 1000).sum()) < 27.9  # chi-square, 9 degrees: one in a thousand is above
    assert uniform("s0", 3) == int(hashlib.sha256(b"s0/3").hexdigest()[:12], 16) / 16**12


@pytest.fixture
def engine():
    return make_engine()


def drawing(rule=SAMPLED, seeds=("a", "b", "c"), new=NEW):
    return [Prompt(one.tokens, new, rule=rule, seed=seed) for one, seed in zip(generation(), seeds, strict=True)]


def tokens(outputs):
    return [[output.tokens for output in of_cell] for of_cell in outputs]


def test_every_method_draws_with_the_same_numbers(engine):
    first, *others = sharing()
    together = tokens(engine.run(drawing(), [first, first, *others]))
    assert together[0] == together[1]
    assert len({row[0] for of_cell in together for row in of_cell[:1]}) == 1  # the first comes from the prefill of all


def test_what_is_drawn_does_not_depend_on_the_batch_or_on_other_cells(engine):
    together = tokens(engine.run(drawing(), cells()))
    for row, prompt in enumerate(drawing()):
        assert tokens(engine.run([prompt], cells())) == [[of_cell[row]] for of_cell in together]
    for cell, of_cell in zip(cells(), together, strict=True):
        assert tokens(engine.run(drawing(), [cell])) == [of_cell]


def test_what_is_drawn_does_not_depend_on_how_many_rows_are_filtered_at_once(engine, monkeypatch):
    whole = tokens(engine.run(drawing(), cells()))
    monkeypatch.setattr("harness.engine.choosing.ELEMENTS", 97 * 2)
    assert tokens(engine.run(drawing(), cells())) == whole


def test_a_seed_chooses_what_is_drawn(engine):
    dense = cells()[:1]
    (first,), (again,) = tokens(engine.run(drawing(), dense)), tokens(engine.run(drawing(), dense))
    (other,) = tokens(engine.run(drawing(seeds="xyz"), dense))
    assert first == again
    assert all(a != b for a, b in zip(first, other, strict=True))


def test_one_batch_holds_prompts_of_different_rules(engine):
    rules = [None, SAMPLED, Rule(repetition_penalty=1.5)]
    mixed = [Prompt(p.tokens, NEW, rule=rule, seed=p.seed) for p, rule in zip(drawing(), rules, strict=True)]
    (together,) = tokens(engine.run(mixed, cells()[:1]))
    for row, prompt in enumerate(mixed):
        assert tokens(engine.run([prompt], cells()[:1])) == [[together[row]]]


def test_without_a_rule_the_likeliest_token_is_taken(engine):
    (one,) = engine.run(drawing(Rule(sampling=Sampling(1.0, top_k=1))), cells()[:1])
    (greedy,) = engine.run(generation(), cells()[:1])
    assert tokens([one]) == tokens([greedy])
    assert all(all(output.greedy) for output in greedy)


def test_likelihoods_of_drawn_tokens_are_the_model_s_own(engine):
    (drawn,) = engine.run(drawing(), cells()[:1])
    forced = [Prompt(p.tokens, forced=tuple(o.tokens)) for p, o in zip(drawing(), drawn, strict=True)]
    (scored,) = engine.run(forced, cells()[:1])
    for a, b in zip(drawn, scored, strict=True):
        assert a.nll == pytest.approx(b.nll, abs=1e-5)
        assert a.greedy == b.greedy
    assert not all(all(output.greedy) for output in drawn)


def test_no_token_that_ends_a_text_is_among_the_least_that_are_asked_for(engine):
    (greedy,) = engine.run(generation(), cells()[:1])
    ends = frozenset(token for output in greedy for token in output.tokens)
    (found,) = engine.run(drawing(Rule(at_least=3, ends=ends)), cells()[:1])
    assert all(not ends & {*output.tokens[:3]} for output in found)


@pytest.mark.parametrize("rule", [SAMPLED, Rule(repetition_penalty=1.5)])
def test_logits_that_are_no_numbers_are_refused_before_a_token_is_chosen_from_them(rule):
    model = architectures.model("llama")
    model.lm_head.weight[5] = torch.nan
    with pytest.raises(NotFiniteError):
        Engine(Bridge(model)).run(drawing(rule), cells()[:1])
