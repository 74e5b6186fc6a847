"""The rotary embedding found for each layer, against transformers' own functions and keys."""

import importlib

import pytest
import torch
from support import architectures
from support.rotary import (
    ABSOLUTE,
    KINDS,
    POSITIONS,
    SCALED,
    assert_turns_keys,
    close,
    config,
    found,
    made,
    own_rotation,
)
from transformers import AutoConfig

from harness.hf.architecture import inspect_architecture
from harness.hf.bridge import Bridge


@pytest.mark.parametrize("name", [*sorted(set(architectures.CONFIGS) - ABSOLUTE), *SCALED, *KINDS])
def test_it_takes_the_key_at_the_first_position_to_transformers_own_key_at_others(name):
    result = found(config(name))
    assert result.refusal is None
    assert_turns_keys(result.layers, config(name))


@pytest.mark.parametrize("name", ["llama", *SCALED, "cohere", "glm", "gpt_neox", "qwen3", "gptj", "phi3"])
def test_it_rotates_as_the_functions_of_transformers_do_scaling_included(name):
    if name in architectures.REFUSED:
        pytest.skip(f"{name} is refused with this release of transformers")
    kind, (rope, *_) = "llama" if name in SCALED else name, found(config(name)).layers
    x = torch.randn(1, 2, len(POSITIONS), inspect_architecture("m", config(name)).layers[0].head_dim)
    close(rope.rotate(x, POSITIONS), own_rotation(kind, config(name), x, POSITIONS))
    assert (rope.scaling != 1) == (name == "yarn")


def test_both_embeddings_of_gemma3_are_found_each_in_its_layers():
    given, x = config("gemma3_text"), torch.randn(1, 2, len(POSITIONS), 16)
    ropes = found(given).layers
    bases = {kind: ropes[given.layer_types.index(kind)].inv_freq[-1] for kind in set(given.layer_types)}
    assert bases["full_attention"] < bases["sliding_attention"] / 10
    for rope, kind in zip(ropes, given.layer_types, strict=True):
        close(rope.rotate(x, POSITIONS), own_rotation("gemma3", given, x, POSITIONS, layer_type=kind))


@pytest.mark.parametrize("kind", ["yarn", "linear", "llama3"])
def test_keys_at_the_bridge_unrotate_to_what_the_projection_of_keys_gave(kind):
    model, rope = made(config(kind)), found(config(kind)).layers[0]
    projected, handed = [], []
    for layer in model.model.layers:
        layer.self_attn.k_proj.register_forward_hook(lambda *given: projected.append(given[2]))

    class Mode:
        cached, final, wants_inputs = 0, None, False

        def attend(self, call):
            handed.append(call.k)
            return call.v.repeat_interleave(2, 1)

    positions = torch.arange(20)
    Bridge(model).forward(torch.tensor(architectures.prompts((20,))), positions[None], Mode())
    assert len(handed) == len(projected) == 3
    for key, before in zip(handed, projected, strict=True):
        close(rope.unrotate(key, positions), before.view(1, 20, 2, 8).transpose(1, 2))


def test_layers_without_positions_have_an_embedding_of_no_width():
    assert [rope.width for rope in found(config("smollm3")).layers] == [16, 16, 16, 0]
    kinds = config("cohere2").layer_types
    assert [rope.width == 0 for rope in found(config("cohere2")).layers] == [kind == "full_attention" for kind in kinds]
    assert {rope.width for rope in found(config("llama4_text")).layers} == {0, 16}


def test_keys_decide_which_channels_are_a_pair_not_names(monkeypatch):
    llama, cohere = (importlib.import_module(f"transformers.models.{k}.modeling_{k}") for k in ("llama", "cohere"))

    def interleaved(q, k, cos, sin):
        return cohere.apply_rotary_pos_emb(q, k, *(x[..., :4].repeat_interleave(2, -1) for x in (cos, sin)))

    given = AutoConfig.for_model("llama", **architectures.GROUPED, rms_norm_eps=3e-7)
    monkeypatch.setattr(llama, "apply_rotary_pos_emb", interleaved)
    assert [rope.interleaved for rope in found(given).layers] == [True] * 3
