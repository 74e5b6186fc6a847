"""Tiny models by their rotary embedding, and what transformers' own functions and keys make of positions."""

import importlib

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from harness.hf.architecture import inspect_architecture
from harness.hf.rotary import find_ropes
from support import architectures

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
    """A tiny configuration whose embedding depends on the length of a text."""
    return AutoConfig.for_model(
        "phi3", **architectures.GROUPED, rope_parameters=LONG, original_max_position_embeddings=16
    )


def found(config, max_length=256, dtype=torch.float32):
    """The rotary embeddings that the package finds."""
    widths = [layer.head_dim for layer in inspect_architecture("m", config).layers]
    return find_ropes(config, widths, max_length, dtype)


def made(config, dtype=torch.float64):
    """A model with random weights, always the same."""
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="eager").eval()
    return model.requires_grad_(False)


def close(a, b, atol=1e-5):
    """Both are the same in single precision."""
    torch.testing.assert_close(a.float(), b.float(), rtol=atol, atol=atol)


def own_keys(config, positions):
    """Keys [P, H, D] of every layer in transformers' own cache, each of a text of one token at another position."""
    given = {"input_ids": torch.full((len(positions), 1), 7), "position_ids": positions[:, None]}
    layers = made(config, torch.float32)(**given, use_cache=True).past_key_values.layers
    return [layer.keys[:, :, 0] for layer in layers]


def assert_turns_keys(ropes, config, positions=POSITIONS):
    """Each takes its layer's key at the first position to those at others, and back."""
    keys = own_keys(config, positions)
    assert len(keys) == len(ropes)
    for rope, of_layer in zip(ropes, keys, strict=True):
        first, there = of_layer[:1].expand_as(of_layer), positions[:, None]
        close(rope.rotate(rope.unrotate(first, torch.tensor(0)), there), of_layer)
        close(rope.turn(first, there), of_layer)
        close(rope.unrotate(of_layer, there), first / rope.scaling)


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
