"""Small models of many architectures with random weights."""

import importlib
import inspect

import torch
from transformers import AutoConfig, AutoModelForCausalLM

SIZE = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
GROUPED = {**SIZE, "num_key_value_heads": 2}
WIDE = {**GROUPED, "head_dim": 16}
CONFIGS = {
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 9},
    "gemma": WIDE,
    "gemma2": {**WIDE, "sliding_window": 9, "query_pre_attn_scalar": 24, "attn_logit_softcapping": 1.5},
    "gemma3_text": {**WIDE, "sliding_window": 9, "query_pre_attn_scalar": 24, "num_hidden_layers": 7},
    "gpt_neox": {**SIZE, "rotary_pct": 0.25},
    "qwen2": GROUPED,
    "qwen3": WIDE,
    "phi3": GROUPED,
    "opt": {**SIZE, "ffn_dim": 48, "word_embed_proj_dim": 32, "init_std": 0.3},
    "gpt2": {**SIZE, "n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 256},
    "olmo2": GROUPED,
    "stablelm": GROUPED,
    "cohere": GROUPED,
    "mixtral": {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3_moe": {**WIDE, "moe_intermediate_size": 24, "num_experts": 4, "num_experts_per_tok": 2},
    "olmoe": {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2},
}
MLA = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_nope_head_dim": 8, "qk_rope_head_dim": 8}
MLA |= {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_group": 1, "topk_group": 1, "moe_intermediate_size": 24}
REFUSED = {
    "bloom": {**SIZE, "n_layer": 2, "n_head": 4},
    "falcon": {**SIZE, "alibi": True},
    "gpt_oss": {**WIDE, "num_local_experts": 2, "num_experts_per_tok": 1},
    "bert": SIZE,
    "roberta": SIZE,
    "electra": SIZE,
    "t5": {**SIZE, "d_model": 32, "num_layers": 3, "num_heads": 4, "d_kv": 8},
    "bart": {**SIZE, "d_model": 32, "decoder_attention_heads": 4, "decoder_ffn_dim": 48},
    "diffllama": GROUPED,
    "deepseek_v2": {**GROUPED, "num_key_value_heads": 4, **MLA, "v_head_dim": 16},
    "deepseek_v3": {**GROUPED, "num_key_value_heads": 4, **MLA, "v_head_dim": 8},
    "mamba": SIZE,
    "qwen3_next": WIDE,
    "lfm2": {**GROUPED, "layer_types": ["conv", "full_attention", "conv"]},
    "vit": {},
}
REASONS = {
    "bloom": "layers call the attention interface",
    "gpt_oss": "passes s_aux to attention",
    "bert": "lets a token see those that follow it",
    "roberta": "lets a token see those that follow it",
    "electra": "lets a token see those that follow it",
    "t5": "is an encoder-decoder",
    "bart": "is an encoder-decoder",
    "diffllama": "attends more than once for a token",
    "deepseek_v2": "caches a latent",
    "deepseek_v3": "caches a latent",
    "mamba": "keep a state that is no KV cache",
    "qwen3_next": "keep a state that is no KV cache",
    "lfm2": "keep a state that is no KV cache",
    "vit": "transformers makes no causal language model of it",
}
"""Words of the refusals that say what kind of model it is."""
CONVERTED = {"gptj": {**SIZE, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 256, "rotary_dim": 4}}
"""Old code that newer releases of transformers gave the attention interface."""


def _asks_the_interface(name):
    source = inspect.getsource(importlib.import_module(f"transformers.models.{name}.modeling_{name}"))
    return "ALL_ATTENTION_FUNCTIONS" in source


for _name, _settings in CONVERTED.items():
    (CONFIGS if _asks_the_interface(_name) else REFUSED)[_name] = _settings


def config(name):
    """The configuration of one of the above."""
    settings = {**CONFIGS, **REFUSED}[name]
    return AutoConfig.for_model(name, **settings)


def model(name, dtype=torch.float32, **more):
    """A model with weights that depend on the seed 0 alone."""
    torch.manual_seed(0)
    made = AutoModelForCausalLM.from_config(config(name), dtype=dtype, **more)
    return made.eval().requires_grad_(False)


def prompts(lengths=(21, 13, 4), seed=0):
    """Random token ids."""
    make = torch.Generator().manual_seed(seed)
    return [tuple(torch.randint(3, 97, (n,), generator=make).tolist()) for n in lengths]
