"""A small copy of a model decodes through the engine and through its own attention, before weights."""

import pytest
import torch
from support import architectures
from transformers import AutoConfig, AutoModelForCausalLM

from harness import methods
from harness.engine import Engine, Prompt
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.hf.shrink import shrunken
from harness.hf.trial import takes_mixed_lengths

CHUNKED = {"attention_chunk_size": 8, "num_local_experts": 2, "intermediate_size_mlp": 48, "head_dim": 8}
CHUNKED |= {"floor_scale": 4, "attn_temperature_tuning": True, "num_hidden_layers": 4}


def chunked():
    return AutoConfig.for_model("llama4_text", **{**architectures.GROUPED, **CHUNKED})


@pytest.mark.parametrize("name", list(architectures.CONFIGS))
def test_rows_of_all_lengths_may_share_a_pass_of_what_is_known_to_be_right(name):
    assert takes_mixed_lengths("tiny", architectures.config(name))


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "qwen3_moe", "gpt2", "phi3", "mistral"])
def test_a_full_size_configuration_is_tried_as_a_small_one(name):
    config = AutoConfig.for_model(name)
    small = AutoModelForCausalLM.from_config(shrunken(config))
    assert sum(weight.numel() for weight in small.parameters()) < 2e7
    assert takes_mixed_lengths("full", config)


def test_a_model_that_counts_columns_takes_rows_of_one_length_at_a_time():
    assert not takes_mixed_lengths("chunked", chunked())


def test_rows_of_a_model_that_counts_columns_are_right_beside_longer_ones():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(chunked(), attn_implementation="eager").eval().requires_grad_(False)
    prompts, forced = architectures.prompts((21, 13, 4, 13)), architectures.prompts((7, 12, 1, 12), seed=1)
    said = []
    for prompt, answer in zip(prompts, forced, strict=True):
        logits = model(torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
        said.append([-float(logits[i, token]) for i, token in enumerate(answer)])
    batch = [Prompt(p, forced=f) for p, f in zip(prompts, forced, strict=True)]
    dense = [methods.create("dense")]
    for mixed in (True, False):
        (outputs,) = Engine(Bridge(model, mixed)).run(batch, dense)
        right = all(out.nll == pytest.approx(nll, abs=1e-4) for out, nll in zip(outputs, said, strict=True))
        assert right != mixed


def test_what_decodes_to_other_numbers_than_its_own_attention_is_refused_by_name(monkeypatch):
    honest = Bridge._attend
    monkeypatch.setattr(Bridge, "_attend", lambda *given, **more: (honest(*given, **more)[0] * 1.01, None))
    config = AutoConfig.for_model("llama", **{**architectures.GROUPED, "rms_norm_eps": 1e-7})
    with pytest.raises(InputError, match=r"model 'm': architecture 'llama' is not supported: .* nats apart from"):
        takes_mixed_lengths("m", config)


def test_what_fails_in_a_batch_is_refused_by_name_with_its_reason():
    with pytest.raises(InputError, match=r"architecture 'doge' .* a small copy of it fails in a batch \(The size of"):
        takes_mixed_lengths("m", AutoConfig.for_model("doge", **architectures.GROUPED))


def test_a_trial_leaves_the_random_numbers_of_others_alone():
    torch.manual_seed(3)
    expected = torch.rand(3)
    torch.manual_seed(3)
    takes_mixed_lengths("m", AutoConfig.for_model("llama", **{**architectures.GROUPED, "rms_norm_eps": 2e-7}))
    assert torch.equal(torch.rand(3), expected)
