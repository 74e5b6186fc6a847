"""The pass along dense's own tokens: its numbers are those of outputs that are scored one by one."""

import math

import numpy as np
import pytest
from support.engine_runs import NEW, cells, generation, scoring
from support.engine_runs import engine as make_engine

from harness import methods
from harness.engine import NotFiniteError, Prompt, Rule, Sampling
from harness.engine.divergence import DRAFTS, draft
from harness.engine.session import Session
from harness.hf.bridge import Bridge
from harness.methods.controls.dense import Dense


def logits_one_by_one(monkeypatch, engine, method, prompts, outputs):
    """The logits of every decode step [n - 1, V], one prompt and token at a time, along outputs that are forced."""
    seen, forward = [], Bridge.forward
    with monkeypatch.context() as patch:
        patch.setattr("harness.engine.session.LOGIT_BYTES", 1)
        patch.setattr(Bridge, "forward", lambda *args: seen.append(forward(*args)) or seen[-1])
        found = []
        for prompt, output in zip(prompts, outputs, strict=True):
            seen.clear()
            engine.run([Prompt(prompt.tokens, forced=tuple(output))], [method])
            assert all(logits.shape[:2] == (1, 1) for logits in seen)
            found.append([logits[0, 0].double().numpy() for logits in seen[1:]])
    return found


def by_numpy(dense, own):
    """KL, agreement and lost probability of the steps of one output."""
    kl, agree, lost = [], [], []
    for a, b in zip(dense, own, strict=True):
        p, q = (np.exp(x - x.max()) / np.exp(x - x.max()).sum() for x in (a, b))
        kl.append(float((p * np.log(p / q)).sum()))
        agree.append(a.argmax() == b.argmax())
        lost.append(float(p[a.argmax()] - q[a.argmax()]))
    return [np.mean(kl), np.mean(agree), np.mean(lost)], agree


@pytest.mark.parametrize(("architecture", "works"), [("llama", generation), ("mistral", scoring)])
def test_every_method_s_numbers_are_those_of_logits_computed_one_by_one(architecture, works, monkeypatch):
    """mistral's windows slide; forced texts are left aside: dense's own tokens are what is compared along."""
    plain, engine = make_engine(architecture), make_engine(architecture, divergence=True)
    every = cells(architecture)
    prompts = works()
    greedy = [Prompt(prompt.tokens, new_tokens=prompt.steps) for prompt in prompts]
    tokens = [output.tokens for output in plain.run(greedy, [Dense()])[0]]
    dense = logits_one_by_one(monkeypatch, plain, Dense(), prompts, tokens)
    for method, outputs in zip(every, engine.run(prompts, every), strict=True):
        slow = logits_one_by_one(monkeypatch, plain, method, prompts, tokens)
        for output, a, b in zip(outputs, dense, slow, strict=True):
            if not a:
                assert output.divergence is None
                continue
            found, (means, agree) = output.divergence, by_numpy(a, b)
            assert found.steps == len(a)
            assert [found.kl, found.agreement, found.lost] == pytest.approx(means, abs=1e-6), method
            assert found.drafts == {length: draft(agree, length) for length in DRAFTS}


@pytest.mark.parametrize("works", [generation, scoring])
@pytest.mark.parametrize("chunk", [1 << 28, 1], ids=["one_pass", "token_by_token"])
def test_dense_diverges_from_itself_by_nothing_and_accepts_every_draft(works, chunk, monkeypatch):
    monkeypatch.setattr("harness.engine.comparison.LOGIT_BYTES", chunk)
    prompts = [
        *works(),
        Prompt((5, 6, 7), **({"forced": tuple(range(11))} if works is scoring else {"new_tokens": 11})),
    ]
    (outputs,) = make_engine(divergence=True).run(prompts, [Dense()])
    found = outputs[-1].divergence
    assert (found.steps, found.kl, found.agreement, found.lost) == (10, 0, 1, 0)
    assert found.drafts == {2: (3, 6), 4: (2, 8), 8: (1, 8)}


def plain(outputs):
    return [[(o.tokens, o.nll, o.greedy, o.active, o.share, o.density) for o in of_cell] for of_cell in outputs]


@pytest.mark.parametrize("works", [generation, scoring])
def test_outputs_are_the_same_to_the_bit_with_and_without_divergence(works):
    without = make_engine().run(works(), cells())
    assert plain(make_engine(divergence=True).run(works(), cells())) == plain(without)
    assert all(output.divergence is None for of_cell in without for output in of_cell)


def numbers(outputs):
    return [output.divergence and [output.divergence.kl, output.divergence.lost] for output in outputs]


@pytest.mark.parametrize("works", [generation, scoring])
@pytest.mark.parametrize("name", ["sparq", "x_attention", "lorc"])
def test_numbers_do_not_depend_on_what_runs_beside_a_method(works, name):
    engine = make_engine(divergence=True)
    method = next(cell for cell in cells() if type(cell).__module__.endswith(f".{name}"))
    alone, (_, beside) = engine.run(works(), [method])[0], engine.run(works(), [Dense(), method])
    for a, b in zip(numbers(alone), numbers(beside), strict=True):
        assert a == pytest.approx(b, abs=1e-9)


def test_tokens_that_are_drawn_or_ruled_are_left_aside_for_dense_s_likeliest():
    engine, method = make_engine(divergence=True), methods.create("window", k=6)
    (expected,) = engine.run(generation(), [method])
    rules = [Rule(sampling=Sampling(temperature=2.0)), Rule(repetition_penalty=1.5), None]
    ruled = [Prompt(p.tokens, NEW, rule=rule, seed="a") for p, rule in zip(generation(), rules, strict=True)]
    (found,) = engine.run(ruled, [method])
    assert numbers(found) == numbers(expected)
    assert [output.tokens for output in found[:2]] != [output.tokens for output in expected[:2]]


def test_steps_after_the_end_of_dense_s_output_are_not_compared():
    engine, method = make_engine(divergence=True), methods.create("window", k=6)
    ends = [2, 1, 5]
    early = [
        Prompt(p.tokens, NEW, finished=lambda tokens, end=end: len(tokens) == end)
        for p, end in zip(generation(), ends, strict=True)
    ]
    (found,) = engine.run(early, [method])
    assert [output.divergence and output.divergence.steps for output in found] == [1, None, 4]
    short = [Prompt(p.tokens, end) for p, end in zip(generation(), ends, strict=True)]
    for a, b in zip(numbers(found), numbers(engine.run(short, [method])[0]), strict=True):
        assert a == pytest.approx(b, abs=1e-9)


def test_a_method_whose_logits_are_not_finite_is_stopped_in_the_comparison_too():
    class Late(Dense):
        """Makes no number from the second time on that a layer starts."""

        is_dense, starts = False, 0

        def start(self, prefix):
            Late.starts += prefix.layer == 0

        def attend(self, step, state):
            return super().attend(step, state) * (math.nan if Late.starts > 1 else 1)

    make_engine().run(generation(), [Late()])
    Late.starts = 0
    with pytest.raises(NotFiniteError):
        make_engine(divergence=True).run(generation(), [Late()])


def test_the_comparison_is_not_charged_to_any_output(monkeypatch):
    charged = []
    share = Session.share_time
    monkeypatch.setattr(Session, "share_time", lambda self, seconds: charged.append(1) or share(self, seconds))
    make_engine(divergence=True).run(scoring(), [Dense()])
    assert len(charged) == 1


def test_a_batch_is_prefilled_once_for_both_passes(monkeypatch):
    engine = make_engine(divergence=True)
    seen, forward = [], Bridge.forward
    monkeypatch.setattr(
        Bridge, "forward", lambda self, t, *args: seen.append(tuple(t.shape)) or forward(self, t, *args)
    )
    engine.run(generation(), [methods.create("window", k=6)])
    assert seen == [(3, 21), *[(6, 1)] * (NEW - 1), (6, NEW - 1)]
