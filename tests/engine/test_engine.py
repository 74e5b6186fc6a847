"""One prefill for all methods, batches whose rows are on their own, scoring that is decoding."""

import gc
import weakref

import pytest
import torch
from support import architectures
from support.engine_runs import NEW, cells, generation, scoring, sharing
from support.engine_runs import engine as make_engine

from harness import methods
from harness.engine import Engine, Prompt
from harness.engine.prefill import Prefill
from harness.hf.bridge import Bridge


@pytest.fixture(params=["llama", "mistral", "stablelm"])
def engine(request):
    return make_engine(request.param, prefill_tokens=50)


@pytest.fixture
def llama():
    return make_engine()


def same(found, expected, tolerance=1e-5):
    """nll is computed in float32 from float64 logits."""
    assert found.tokens == expected.tokens
    assert found.nll == pytest.approx(expected.nll, abs=tolerance)
    assert found.greedy == expected.greedy
    assert found.active == expected.active


@pytest.fixture
def prefilled(monkeypatch):
    """The rows of every prefill pass, of which each has one layer 0."""
    rows, attend = [], Prefill.attend

    def spy(self, call):
        if call.layer == 0:
            rows.extend(range(len(call.q)))
        return attend(self, call)

    monkeypatch.setattr(Prefill, "attend", spy)
    return rows


@pytest.mark.parametrize("prompts", [generation, scoring])
def test_one_prefill_per_example_serves_all_methods(llama, prefilled, prompts):
    llama.run(prompts(), sharing())
    assert len(prefilled) == 3


def test_a_method_that_masks_the_prompt_gets_a_prefill_of_its_own(llama, prefilled):
    masked = [methods.create("lm_infinite", k=6, initial=2, mask_prefill=True), methods.create("streaming", k=6)]
    llama.run(generation(), [*masked, methods.create("dense"), methods.create("window", k=6, mask_prefill=True)])
    assert len(prefilled) == 9


def test_the_model_sees_each_prompt_once_and_each_step_once(llama, monkeypatch):
    seen, forward = [], Bridge.forward

    def spy(self, tokens, *args):
        seen.append(tuple(tokens.shape))
        return forward(self, tokens, *args)

    monkeypatch.setattr(Bridge, "forward", spy)
    llama.run(generation(), sharing())
    rows = 3 * len(sharing())
    assert seen == [(3, 21), *[(rows, 1)] * (NEW - 1)]
    seen.clear()
    llama.run(scoring(), sharing())
    assert seen == [(3, 21), (rows, 7)]


@pytest.mark.parametrize("prompts", [generation, scoring])
def test_a_cell_has_the_same_numbers_alone_or_beside_others(engine, prompts):
    together = engine.run(prompts(), cells())
    assert any(output.active for of_cell in together for output in of_cell)
    for cell, of_cell in zip(cells(), together, strict=True):
        (alone,) = engine.run(prompts(), [cell])
        for a, b in zip(alone, of_cell, strict=True):
            same(a, b)


@pytest.mark.parametrize("prompts", [generation, scoring])
def test_the_order_of_cells_is_irrelevant(engine, prompts):
    forwards, backwards = engine.run(prompts(), cells()), engine.run(prompts(), cells()[::-1])[::-1]
    for of_cell, other in zip(forwards, backwards, strict=True):
        for a, b in zip(of_cell, other, strict=True):
            same(a, b)


@pytest.mark.parametrize("prompts", [generation, scoring])
def test_results_do_not_depend_on_the_batch(engine, prompts):
    batch = engine.run(prompts(), cells())
    for row, prompt in enumerate(prompts()):
        for of_cell, (single,) in zip(batch, engine.run([prompt], cells()), strict=True):
            same(single, of_cell[row])
    backwards = engine.run(prompts()[::-1], cells())
    for of_cell, other in zip(batch, backwards, strict=True):
        for a, b in zip(of_cell, other[::-1], strict=True):
            same(a, b)


@pytest.mark.parametrize("chunk", [1 << 28, 1], ids=["one_pass", "token_by_token"])
def test_scoring_in_one_pass_is_generating_token_by_token(engine, monkeypatch, chunk):
    monkeypatch.setattr("harness.engine.session.LOGIT_BYTES", chunk)
    generated = engine.run(generation(), cells())
    for cell, of_cell in zip(cells(), generated, strict=True):
        forced = [Prompt(w.tokens, forced=tuple(a.tokens)) for w, a in zip(generation(), of_cell, strict=True)]
        (scored,) = engine.run(forced, [cell])
        for a, b in zip(scored, of_cell, strict=True):
            assert all(a.greedy)
            same(a, b)


def test_the_first_token_comes_from_the_dense_prefill(engine):
    outputs = engine.run(generation(), sharing())
    (dense,) = engine.run(generation(new=1), [methods.create("dense")])
    for of_cell in outputs:
        assert [a.tokens[0] for a in of_cell] == [a.tokens[0] for a in dense]
        assert [a.nll[0] for a in of_cell] == pytest.approx([a.nll[0] for a in dense], abs=1e-6)
    one = engine.run(generation(new=1), sharing())
    assert not any(output.active for of_cell in one for output in of_cell)


def test_an_engine_that_is_gone_leaves_the_model_to_be_freed():
    model = architectures.model("llama").to(torch.float64)
    left = weakref.ref(model)
    Engine(Bridge(model)).run(generation(new=2), cells()[:1])
    del model
    gc.collect()
    assert left() is None
