"""Dense decoding through the engine against transformers' own eager attention, on small random models."""

import functools
import math

import pytest
import torch
from support import all_of, architectures
from support.engine_runs import cells, learnt, ropes

from harness import methods
from harness.attention import LayerShape
from harness.engine import Engine, Prompt
from harness.errors import InputError
from harness.hf.architecture import inspect_architecture
from harness.hf.bridge import Bridge

NEW = 10
every_architecture = pytest.mark.parametrize("name", list(architectures.CONFIGS))


@functools.cache
def models(name):
    """The same weights twice: with transformers' attention and with ours."""
    eager = architectures.model(name, attn_implementation="eager")
    ours = architectures.model(name)
    assert all(torch.equal(a, b) for a, b in zip(eager.parameters(), ours.parameters(), strict=True))
    return eager, Engine(Bridge(ours), ropes=ropes(name), calibrations=learnt(name))


@torch.inference_mode()
def likelihoods(eager, tokens):
    """[n, V] of the token that follows each prefix of one row, in a single eager forward pass without cache."""
    return eager(torch.tensor([tokens]), use_cache=False).logits[0].float().log_softmax(-1)


@every_architecture
def test_greedy_decoding_of_a_batch_equals_eager_attention(name):
    eager, engine = models(name)
    prompts = architectures.prompts()
    (outputs,) = engine.run([Prompt(p, new_tokens=NEW) for p in prompts], [methods.create("dense")])
    for prompt, output in zip(prompts, outputs, strict=True):
        said = likelihoods(eager, [*prompt, *output.tokens])[len(prompt) - 1 : -1]
        assert output.tokens == said.argmax(-1).tolist()  # so by induction, eager attention generates the same
        assert len(output.tokens) == NEW
        assert output.nll == pytest.approx((-said.amax(-1)).tolist(), abs=2e-5)


@every_architecture
def test_scoring_of_a_batch_equals_eager_attention(name):
    eager, engine = models(name)
    prompts, forced = architectures.prompts(), architectures.prompts((7, 12, 1), seed=1)
    prompts = [Prompt(p, forced=f) for p, f in zip(prompts, forced, strict=True)]
    (outputs,) = engine.run(prompts, [methods.create("dense")])
    for prompt, output in zip(prompts, outputs, strict=True):
        n = len(prompt.tokens)
        said = likelihoods(eager, prompt.tokens + prompt.forced)[n - 1 : -1]
        nll = [-float(said[i, token]) for i, token in enumerate(prompt.forced)]
        assert output.nll == pytest.approx(nll, abs=2e-5)
        assert output.greedy == [int(said[i].argmax()) == token for i, token in enumerate(prompt.forced)]
        assert output.tokens == list(prompt.forced)


@every_architecture
def test_a_left_padded_batch_of_transformers_agrees(name):
    eager, engine = models(name)
    prompts = architectures.prompts()
    width = max(map(len, prompts))
    ids = torch.tensor([[0] * (width - len(p)) + list(p) for p in prompts])
    mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts])
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    given = {} if name == "opt" else {"position_ids": positions}
    with torch.inference_mode():
        logits = eager(ids, attention_mask=mask, **given).logits[:, -1].float().log_softmax(-1)
    (outputs,) = engine.run([Prompt(p, new_tokens=1) for p in prompts], [methods.create("dense")])
    assert [a.tokens[0] for a in outputs] == logits.argmax(-1).tolist()
    assert [a.nll[0] for a in outputs] == pytest.approx((-logits.amax(-1)).tolist(), abs=2e-5)


@every_architecture
def test_every_method_decodes_it_and_a_full_budget_is_dense(name):
    _, engine = models(name)
    small = cells(name)
    prompts = [Prompt(p, forced=f) for p, f in zip(architectures.prompts(), [(5, 6, 7, 8, 9)] * 3, strict=True)]
    (dense,), outputs = engine.run(prompts, [methods.create("dense")]), engine.run(prompts, small)
    for cell, of_cell in zip(small, outputs, strict=True):
        assert all(math.isfinite(value) for output in of_cell for value in output.nll)
        assert of_cell[0].active == (not cell.is_dense), cell
        assert not of_cell[0].active or of_cell[0].nll != pytest.approx(dense[0].nll, abs=1e-4), cell
    whole = [all_of(cell) for cell in small if "a_full_budget_is_dense_attention" not in cell.excused]
    for cell, of_cell in zip(whole, engine.run(prompts, whole), strict=True):
        for output, expected in zip(of_cell, dense, strict=True):
            assert output.nll == pytest.approx(expected.nll, abs=2e-5), cell


@pytest.mark.parametrize("name", list(architectures.REFUSED))
def test_what_the_bridge_cannot_honour_is_refused_by_name_without_weights(name):
    config = architectures.config(name)
    with pytest.raises(InputError) as refusal:
        inspect_architecture("tiny", config)
    assert f"architecture '{name}' is not supported: " in str(refusal.value)
    assert architectures.REASONS.get(name, "") in str(refusal.value)
    assert "\n" not in str(refusal.value)


@every_architecture
def test_every_layer_is_found_before_weights(name):
    config = architectures.config(name)
    found = inspect_architecture("tiny", config).layers
    assert len(found) == config.num_hidden_layers


def test_layers_are_found_with_their_windows_before_weights():
    def found(name):
        return inspect_architecture(name, architectures.config(name)).layers

    assert found("llama") == (LayerShape(2, 8, group=2),) * 3
    assert found("mistral") == (LayerShape(2, 8, 9, group=2),) * 3
    assert found("gpt_neox") == (LayerShape(4, 8),) * 3
    kinds = architectures.config("gemma3_text").layer_types
    assert found("gemma3_text") == tuple(LayerShape(2, 16, 9 if "sliding" in kind else None, group=2) for kind in kinds)
    assert {layer.window for layer in found("gemma2")} == {9, None}


def test_a_half_precision_model_decodes_close_to_float32():
    (single,) = Engine(Bridge(architectures.model("llama"))).run(
        [Prompt(p, forced=(5, 6, 7)) for p in architectures.prompts()], [methods.create("dense")]
    )
    (half,) = Engine(Bridge(architectures.model("llama", dtype=torch.bfloat16))).run(
        [Prompt(p, forced=(5, 6, 7)) for p in architectures.prompts()], [methods.create("dense")]
    )
    for a, b in zip(single, half, strict=True):
        assert b.nll == pytest.approx(a.nll, abs=0.5)
        assert b.nll != a.nll
