"""One prefill for all methods, batches whose rows are on their own, scoring that is decoding."""

import pytest
import torch

import architectures
from harness import methods
from harness.engine import Engine, Work
from harness.engine.bridge import Bridge
from support import VARIANTS

NEW = 6


@pytest.fixture(params=["llama", "mistral", "gpt_neox"])
def engine(request):
    return Engine(architectures.model(request.param, dtype=torch.float64), prefill_tokens=50)


@pytest.fixture
def llama():
    return Engine(architectures.model("llama", dtype=torch.float64))


def cells():
    return [methods.create(name, **knobs) for name, knobs in VARIANTS]


def generation(prompts=None, new=NEW):
    return [Work(p, new_tokens=new) for p in prompts or architectures.prompts()]


def scoring():
    return [
        Work(p, forced=f)
        for p, f in zip(architectures.prompts(), architectures.prompts((5, 1, 8), seed=4), strict=True)
    ]


def same(found, expected, tolerance=1e-5):
    """nll is computed in float32 from float64 logits."""
    assert found.tokens == expected.tokens
    assert found.nll == pytest.approx(expected.nll, abs=tolerance)
    assert found.greedy == expected.greedy
    assert found.active == expected.active


def test_one_prefill_per_example_serves_all_methods(llama):
    llama.run(generation(), cells())
    assert llama.prefills == 3
    llama.run(scoring(), cells())
    assert llama.prefills == 6


def test_a_method_that_masks_the_prompt_gets_a_prefill_of_its_own(llama):
    masked = [methods.create("lm_infinite", k=6, initial=2, mask_prefill=True), methods.create("streaming", k=6)]
    llama.run(generation(), [*masked, methods.create("dense"), methods.create("window", k=6, mask_prefill=True)])
    assert llama.prefills == 9


def test_the_model_sees_each_prompt_once_and_each_step_once(llama, monkeypatch):
    seen, forward = [], Bridge.forward

    def spy(self, tokens, *args):
        seen.append(tuple(tokens.shape))
        return forward(self, tokens, *args)

    monkeypatch.setattr(Bridge, "forward", spy)
    llama.run(generation(), cells())
    rows = 3 * len(VARIANTS)
    assert seen == [(3, 21), *[(rows, 1)] * (NEW - 1)]
    seen.clear()
    llama.run(scoring(), cells())
    assert seen == [(3, 21), (rows, 7)]


@pytest.mark.parametrize("works", [generation, scoring])
def test_a_cell_has_the_same_numbers_alone_or_beside_others(engine, works):
    together = engine.run(works(), cells())
    assert any(answer.active for of_cell in together for answer in of_cell)
    for cell, of_cell in zip(cells(), together, strict=True):
        (alone,) = engine.run(works(), [cell])
        for a, b in zip(alone, of_cell, strict=True):
            same(a, b)


@pytest.mark.parametrize("works", [generation, scoring])
def test_the_order_of_cells_is_irrelevant(engine, works):
    forwards, backwards = engine.run(works(), cells()), engine.run(works(), cells()[::-1])[::-1]
    for of_cell, other in zip(forwards, backwards, strict=True):
        for a, b in zip(of_cell, other, strict=True):
            same(a, b)


@pytest.mark.parametrize("works", [generation, scoring])
def test_results_do_not_depend_on_the_batch(engine, works):
    batch = engine.run(works(), cells())
    for row, work in enumerate(works()):
        for of_cell, (single,) in zip(batch, engine.run([work], cells()), strict=True):
            same(single, of_cell[row])
    backwards = engine.run(works()[::-1], cells())
    for of_cell, other in zip(batch, backwards, strict=True):
        for a, b in zip(of_cell, other[::-1], strict=True):
            same(a, b)


@pytest.mark.parametrize("chunk", [1 << 28, 1], ids=["one_pass", "token_by_token"])
def test_scoring_in_one_pass_is_generating_token_by_token(engine, monkeypatch, chunk):
    monkeypatch.setattr("harness.engine.engine.LOGIT_BYTES", chunk)
    generated = engine.run(generation(), cells())
    for cell, of_cell in zip(cells(), generated, strict=True):
        forced = [Work(w.prompt, forced=tuple(a.tokens)) for w, a in zip(generation(), of_cell, strict=True)]
        (scored,) = engine.run(forced, [cell])
        for a, b in zip(scored, of_cell, strict=True):
            assert all(a.greedy)
            same(a, b)


def test_the_first_token_comes_from_the_dense_prefill(engine):
    answers = engine.run(generation(), cells())
    (dense,) = engine.run(generation(new=1), [methods.create("dense")])
    for of_cell in answers:
        assert [a.tokens[0] for a in of_cell] == [a.tokens[0] for a in dense]
        assert [a.nll[0] for a in of_cell] == pytest.approx([a.nll[0] for a in dense], abs=1e-6)
    one = engine.run(generation(new=1), cells())
    assert not any(answer.active for of_cell in one for answer in of_cell)


def masked_eager(prompt, tokens, k, initial):
    """nll of tokens after the prompt, every query of the model under the LM-Infinite pattern."""
    model = architectures.model("llama", dtype=torch.float64, attn_implementation="eager")
    whole = [*prompt, *tokens]
    query, key = torch.arange(len(whole))[:, None], torch.arange(len(whole))[None]
    sees = (key <= query) & ((key < initial) | (query - key < k - initial))
    bias = torch.zeros(sees.shape, dtype=torch.float64).masked_fill(~sees, torch.finfo(torch.float64).min)
    logits = model(torch.tensor([whole]), attention_mask=bias[None, None]).logits[0].log_softmax(-1)
    return [-float(logits[len(prompt) - 1 + i, token]) for i, token in enumerate(tokens)]


@pytest.mark.parametrize(("k", "initial"), [(7, 3), (5, 0), (12, 1)])
def test_masking_the_prefill_equals_a_model_that_was_masked_all_along(llama, k, initial):
    method = methods.create("lm_infinite", k=k, initial=initial, mask_prefill=True)
    (answers,) = llama.run(scoring(), [method])
    for work, answer in zip(scoring(), answers, strict=True):
        assert answer.nll == pytest.approx(masked_eager(work.prompt, work.forced, k, initial), abs=1e-5)


def test_a_generation_ends_when_it_says_so_and_its_neighbours_go_on(llama):
    (plain,) = llama.run(generation(), [methods.create("dense")])
    stop = plain[1].tokens[2]
    end = plain[1].tokens.index(stop) + 1
    works = generation()
    works[1] = Work(works[1].prompt, new_tokens=NEW, finished=lambda tokens: tokens[-1] == stop)
    for cell, answers in zip(cells(), llama.run(works, cells()), strict=True):
        assert len(answers[0].tokens) == len(answers[2].tokens) == NEW
        if cell.lossless:
            assert answers[1].tokens == plain[1].tokens[:end]
            assert len(answers[1].nll) == len(answers[1].greedy) == end


def test_decoding_stops_when_all_have_finished(llama, monkeypatch):
    passes, forward = [], Bridge.forward
    monkeypatch.setattr(Bridge, "forward", lambda *args: passes.append(1) or forward(*args))
    works = [Work(p, new_tokens=50, finished=lambda tokens: len(tokens) >= 3) for p in architectures.prompts()]
    (answers,) = llama.run(works, [methods.create("dense")])
    assert [len(a.tokens) for a in answers] == [3, 3, 3]
    assert len(passes) == 3


def test_rows_of_one_batch_may_ask_for_different_numbers_of_tokens(llama):
    lengths = (2, 6, 1)
    works = [Work(p, new_tokens=n) for p, n in zip(architectures.prompts(), lengths, strict=True)]
    for answers, whole in zip(llama.run(works, cells()), llama.run(generation(), cells()), strict=True):
        for answer, other, n in zip(answers, whole, lengths, strict=True):
            assert answer.tokens == other.tokens[:n]
            assert len(answer.nll) == n


def test_time_is_shared_out_and_positive(llama):
    answers = llama.run(generation(), cells())
    assert all(answer.seconds > 0 for of_cell in answers for answer in of_cell)
