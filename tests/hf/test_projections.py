"""The weights of keys and values that a model is lent, and its own, which come back."""

import pytest
import torch
from support import architectures

from harness.attention import Projections
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.hf.projections import projections, weights_refusal

SEPARATE = ["llama", "mistral", "gemma", "gemma2", "qwen2", "opt", "stablelm", "cohere", "mixtral"]
NORMED = ["gemma3_text", "qwen3", "olmo2", "qwen3_moe", "olmoe"]
FUSED = ["gpt_neox", "gpt2", "phi3"]


@pytest.mark.parametrize("name", SEPARATE + NORMED)
def test_every_layer_s_weights_are_found_with_what_follows_them(name):
    model = architectures.model(name)
    found = projections(model)
    assert len(found) == model.config.num_hidden_layers
    assert {of.plain for of in found} == {name in SEPARATE}
    assert all((of.k_bias is not None) == (name in ("qwen2", "opt")) for of in found)
    heads = getattr(model.config, "num_key_value_heads", model.config.num_attention_heads)
    width = getattr(model.config, "head_dim", None) or 8
    assert {of.k.shape for of in found} == {(heads * width, 32)} == {of.v.shape for of in found}


@pytest.mark.parametrize("name", FUSED)
def test_fused_weights_are_refused_by_the_architecture_s_name(name):
    with pytest.raises(InputError) as raised:
        Bridge(architectures.model(name)).projections()
    assert f"architecture '{name}' has no weights k_proj and v_proj of its own" in str(raised.value)


@pytest.mark.parametrize("name", SEPARATE + NORMED + FUSED)
def test_what_cannot_be_changed_is_known_before_weights(name):
    changed, projected = (weights_refusal(architectures.config(name), plain) for plain in (False, True))
    assert (changed is None) == (name not in FUSED)
    assert (projected is None) == (name in SEPARATE)
    assert changed is None or f"architecture '{name}' has no weights" in changed


def test_quantised_weights_cannot_be_changed():
    config = architectures.config("llama")
    config.quantization_config = {"quant_method": "bitsandbytes"}
    assert weights_refusal(config, plain=False).startswith("its weights are quantised")


def test_lent_weights_are_used_and_the_model_s_own_are_back_whatever_happens():
    model = architectures.model("llama")
    bridge, before = Bridge(model), dict(model.named_parameters())
    others = [Projections(of.k * 2, of.v.double() * 3) for of in bridge.projections()]
    with pytest.raises(ZeroDivisionError), bridge.lend(others):
        assert all(torch.equal(a.k, b.k) for a, b in zip(bridge.projections(), others, strict=True))
        assert {of.v.dtype for of in bridge.projections()} == {torch.float32}
        raise ZeroDivisionError
    assert all(parameter is before[name] for name, parameter in model.named_parameters())


def test_weights_for_another_number_of_layers_leave_the_model_as_it_was():
    model = architectures.model("llama")
    bridge, before = Bridge(model), dict(model.named_parameters())
    with pytest.raises(ValueError, match="zip"), bridge.lend(bridge.projections()[:2]):
        pass
    assert all(parameter is before[name] for name, parameter in model.named_parameters())
