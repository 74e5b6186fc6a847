"""The rotary embedding found for each layer, against transformers' own functions and keys."""

import importlib

import pytest
import torch
from support import architectures
from transformers import AutoConfig, AutoModelForCausalLM

from harness.errors import InputError
from harness.hf import find
from harness.hf.architecture import inspect_architecture
from harness.hf.bridge import Bridge
from harness.hf.frequencies import of_table
from harness.hf.rotary import find_ropes
from harness.hf.spec import ModelSpec

POSITIONS = torch.tensor([0, 1, 2, 7, 15, 40, 100, 255])
SHORT = POSITIONS[POSITIONS < 16]
BASE = {"rope_theta": 1e4, "factor": 4.0, "original_max_position_embeddings": 16}
LONG = {**BASE, "short_factor": [1.0, 1.5, 2.0, 3.0], "long_factor": [1.0, 2.0, 4.0, 8.0], "rope_type": "longrope"}
BANDS = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
SCALED = {
    "linear": {**BASE, "rope_type": "linear"},
    "llama3": {**BASE, **BANDS, "rope_type": "llama3"},
    "yarn": {**BASE, "rope_type": "yarn"},
    "dynamic": {**BASE, "rope_type": "dynamic"},
}
NOPE = {**architectures.WIDE, "num_hidden_layers": 4}
KINDS = {
    "glm": architectures.WIDE,
    "cohere2": {**NOPE, "sliding_window": 9},
    "smollm3": NOPE,
    "llama4_text": {**NOPE, "num_local_experts": 2, "intermediate_size_mlp": 48, "attention_chunk_size": 8},
    "nanochat": architectures.GROUPED,
}
ABSOLUTE = {"opt", "gpt2"}


def config(name):
    """A tiny configuration by architecture, or one of llama with a scaled embedding."""
    if name in SCALED:
        return AutoConfig.for_model("llama", **architectures.GROUPED, rope_parameters=SCALED[name])
    return AutoConfig.for_model(name, **KINDS[name]) if name in KINDS else architectures.config(name)


def longrope():
    return AutoConfig.for_model(
        "phi3", **architectures.GROUPED, rope_parameters=LONG, original_max_position_embeddings=16
    )


def found(config, max_length=256, dtype=torch.float32):
    widths = [layer.head_dim for layer in inspect_architecture("m", config).layers]
    return find_ropes(config, widths, max_length, dtype)


def made(config, dtype=torch.float64):
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager").eval()
    return model.requires_grad_(False)


def close(a, b, atol=1e-5):
    torch.testing.assert_close(a.float(), b.float(), rtol=atol, atol=atol)


def own_keys(config, positions):
    """Keys [P, H, D] of every layer in transformers' own cache, each of a text of one token at another position."""
    given = {"input_ids": torch.full((len(positions), 1), 7), "position_ids": positions[:, None]}
    layers = made(config, torch.float32)(**given, use_cache=True).past_key_values.layers
    return [layer.keys[:, :, 0] for layer in layers]


def assert_turns_keys(ropes, config, positions=POSITIONS):
    keys = own_keys(config, positions)
    assert len(keys) == len(ropes)
    for rope, of_layer in zip(ropes, keys, strict=True):
        first, there = of_layer[:1].expand_as(of_layer), positions[:, None]
        close(rope.rotate(rope.unrotate(first, torch.tensor(0)), there), of_layer)
        close(rope.turn(first, there), of_layer)
        close(rope.unrotate(of_layer, there), first / rope.scaling)


@pytest.mark.parametrize("name", [*sorted(set(architectures.CONFIGS) - ABSOLUTE), *SCALED, *KINDS])
def test_it_takes_the_key_at_the_first_position_to_transformers_own_key_at_others(name):
    result = found(config(name))
    assert result.refusal is None
    assert_turns_keys(result.layers, config(name))


def own_rotation(kind, config, x, positions, **more):
    """What the functions of transformers make of x [1, H, P, D]."""
    code, model = importlib.import_module(f"transformers.models.{kind}.modeling_{kind}"), made(config, torch.float32)
    (module,) = (m for m in model.modules() if type(m).__name__.endswith("RotaryEmbedding"))
    first, second = module(x, positions[None], **more)
    if kind == "gptj":
        width = 2 * first.shape[-1]
        turned = code.apply_rotary_pos_emb(x[..., :width].transpose(1, 2), first, second).transpose(1, 2)
        return torch.cat((turned, x[..., width:]), -1)
    return code.apply_rotary_pos_emb(x, x, first, second)[1]


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


@pytest.mark.parametrize("name", sorted(ABSOLUTE))
def test_positions_in_hidden_states_are_no_rotary_embedding(name):
    result = found(config(name))
    assert result.layers == (None,) * 3
    assert result.refusal == "positions are added to the hidden states before its layer 0, not turned into its keys"


def test_a_norm_with_weights_behind_the_rotation_is_no_rotary_embedding():
    result = found(AutoConfig.for_model("hunyuan_v1_dense", **architectures.WIDE))
    assert set(result.layers) == {None}
    assert "keys of its layer 0 at other positions are no rotation" in result.refusal


def test_longrope_has_one_embedding_up_to_the_turning_point_and_none_for_lengths_on_both_sides():
    short = found(longrope(), 16)
    assert short.refusal is None
    assert_turns_keys(short.layers, longrope(), SHORT)
    x = torch.randn(1, 2, len(SHORT), 8)
    close(short.layers[0].rotate(x, SHORT), own_rotation("phi3", longrope(), x, SHORT))
    assert short.layers[0].scaling > 1
    both = found(longrope(), 17)
    assert both.layers == (None,) * 3
    assert both.refusal == "its rotary embedding depends on a text's length: set model.max_length=16 or less"


def test_a_dynamic_embedding_is_none_beyond_the_positions_where_it_stands_still():
    assert None not in found(config("dynamic"), 256).layers
    beyond = found(config("dynamic"), 300)
    assert set(beyond.layers) == {None}
    assert beyond.refusal.endswith("set model.max_length=256 or less")


def test_keys_decide_which_channels_are_a_pair_not_names(monkeypatch):
    llama, cohere = (importlib.import_module(f"transformers.models.{k}.modeling_{k}") for k in ("llama", "cohere"))

    def interleaved(q, k, cos, sin):
        return cohere.apply_rotary_pos_emb(q, k, *(x[..., :4].repeat_interleave(2, -1) for x in (cos, sin)))

    given = AutoConfig.for_model("llama", **architectures.GROUPED, rms_norm_eps=3e-7)
    monkeypatch.setattr(llama, "apply_rotary_pos_emb", interleaved)
    assert [rope.interleaved for rope in found(given).layers] == [True] * 3


def test_frequencies_are_recovered_from_a_table_of_sines_and_cosines():
    frequencies = 1e4 ** -(torch.arange(16, dtype=torch.float64) / 16)
    angles = torch.arange(2048, dtype=torch.float64)[:, None] * frequencies
    for parts in ((angles.sin(), angles.cos()), (angles.cos(), angles.sin())):
        torch.testing.assert_close(of_table(torch.cat(parts, 1).float()), frequencies, rtol=3e-7, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_frequencies_are_those_of_the_precision_in_which_a_model_is_loaded(dtype):
    wide = {"hidden_size": 64, "n_embd": 64, "rotary_dim": 12}
    given = AutoConfig.for_model("gptj", **{**architectures.CONVERTED["gptj"], **wide})
    if "gptj" in architectures.REFUSED:
        pytest.skip("gptj is refused with this release of transformers")
    rope, table = found(given, dtype=dtype).layers[0], made(given, dtype).transformer.rotary_emb.embed_positions
    angles = torch.arange(256, dtype=torch.float64)[:, None] * rope.inv_freq
    close(torch.cat((angles.sin(), angles.cos()), 1), table, atol=1e-4)


def test_a_checkpoint_finds_the_embeddings_of_the_full_size_only_when_asked(monkeypatch):
    checkpoint = find(ModelSpec(name="m", path="shape:llama-3-8b", device="cpu", random_weights=True))
    ropes = checkpoint.ropes()
    assert len(ropes) == 32
    assert checkpoint.rope_refusal() is None
    plain = 5e5 ** -(torch.arange(64, dtype=torch.float64) / 64)
    for rope in ropes:
        torch.testing.assert_close(rope.inv_freq.double(), plain, rtol=1e-6, atol=0)

    def never(*_):
        raise InputError("was asked")

    monkeypatch.setattr("harness.hf.checkpoint.find_ropes", never)
    untouched = find(checkpoint.spec)
    with pytest.raises(InputError, match="was asked"):
        untouched.ropes()


def test_the_refusal_of_a_checkpoint_is_a_sentence_that_names_the_model(tmp_path):
    config("gpt2").save_pretrained(tmp_path)
    checkpoint = find(ModelSpec(name="m", path=str(tmp_path), device="cpu"))
    assert checkpoint.ropes() == (None,) * 3
    assert checkpoint.rope_refusal().startswith("model 'm': positions are added to the hidden states before its layer")
