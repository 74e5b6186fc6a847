"""Masked prefills, generations that end early, and rows that ask for different lengths."""

import pytest
import torch
from support import architectures
from support.engine_runs import NEW, cells, generation, scoring
from support.engine_runs import engine as make_engine

from harness import methods
from harness.engine import Engine, Prompt
from harness.hf.bridge import Bridge


@pytest.fixture
def llama():
    return make_engine()


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
    (outputs,) = llama.run(scoring(), [method])
    for prompt, output in zip(scoring(), outputs, strict=True):
        assert output.nll == pytest.approx(masked_eager(prompt.tokens, prompt.forced, k, initial), abs=1e-5)


def test_masking_the_prefill_keeps_to_a_sliding_window_that_is_narrower():
    engine = Engine(Bridge(architectures.model("mistral", dtype=torch.float64)))
    wide = methods.create("lm_infinite", k=14, initial=0, mask_prefill=True)
    for output, plain in zip(*engine.run(scoring(), [wide, methods.create("dense")]), strict=True):
        assert output.nll == pytest.approx(plain.nll, abs=1e-5)


def test_a_generation_ends_when_it_says_so_and_its_neighbours_go_on(llama):
    (plain,) = llama.run(generation(), [methods.create("dense")])
    stop = plain[1].tokens[2]
    end = plain[1].tokens.index(stop) + 1
    prompts = generation()
    prompts[1] = Prompt(prompts[1].tokens, new_tokens=NEW, finished=lambda tokens: tokens[-1] == stop)
    for cell, outputs in zip(cells(), llama.run(prompts, cells()), strict=True):
        assert len(outputs[0].tokens) == len(outputs[2].tokens) == NEW
        if cell.is_dense:
            assert outputs[1].tokens == plain[1].tokens[:end]
            assert len(outputs[1].nll) == len(outputs[1].greedy) == end


def test_decoding_stops_when_all_have_finished(llama, monkeypatch):
    passes, forward = [], Bridge.forward
    monkeypatch.setattr(Bridge, "forward", lambda *args: passes.append(1) or forward(*args))
    prompts = [Prompt(p, new_tokens=50, finished=lambda tokens: len(tokens) >= 3) for p in architectures.prompts()]
    (outputs,) = llama.run(prompts, [methods.create("dense")])
    assert [len(a.tokens) for a in outputs] == [3, 3, 3]
    assert len(passes) == 3


def test_rows_of_one_batch_may_ask_for_different_numbers_of_tokens(llama):
    lengths = (2, 6, 1)
    prompts = [Prompt(p, new_tokens=n) for p, n in zip(architectures.prompts(), lengths, strict=True)]
    for outputs, whole in zip(llama.run(prompts, cells()), llama.run(generation(), cells()), strict=True):
        for output, other, n in zip(outputs, whole, lengths, strict=True):
            assert output.tokens == other.tokens[:n]
            assert len(output.nll) == n


@pytest.mark.parametrize("name", ["gpt2", "opt"])
@pytest.mark.parametrize("field", ["new_tokens", "forced"])
def test_a_row_at_the_last_position_of_a_model_ends_beside_one_that_goes_on(name, field):
    engine, dense = Engine(Bridge(architectures.model(name))), [methods.create("dense")]
    asked = zip(architectures.prompts((255, 3)), architectures.prompts((2, 9), seed=1), strict=True)
    prompts = [Prompt(p, **{field: f if field == "forced" else len(f)}) for p, f in asked]
    (together,) = engine.run(prompts, dense)
    for prompt, output in zip(prompts, together, strict=True):
        ((alone,),) = engine.run([prompt], dense)
        assert output.tokens == alone.tokens
        assert output.nll == pytest.approx(alone.nll, abs=2e-5)


def test_time_is_shared_out_and_positive(llama):
    outputs = llama.run(generation(), cells())
    assert all(output.seconds > 0 for of_cell in outputs for output in of_cell)
