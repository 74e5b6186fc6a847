"""Tiny models of every architecture, and what is to become of each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from conformance.tiny import POSITIONS, VOCABULARY, WINDOW, Tiny, rope, tiny

SLIDING = {"sliding_window": WINDOW}
SOME_SLIDE = {**SLIDING, "num_hidden_layers": 4}
TURNS = ["sliding_attention", "full_attention"]
WIDE = {"head_dim": 16}
LLAMA3 = rope("llama3", factor=2.0, low_freq_factor=1.0, high_freq_factor=4.0)
LONG = rope("longrope", 40, short_factor=[1.0, 1.5, 2.0, 3.0], long_factor=[1.0, 2.0, 4.0, 8.0], factor=2.0)
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
LOCAL_EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
LATENT = {"kv_lora_rank": 16, "qk_rope_head_dim": 8, "qk_nope_head_dim": 8, "num_key_value_heads": 4}
LATENT |= {"n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1, "moe_intermediate_size": 16}
LATENT |= {"first_k_dense_replace": 1, "topk_group": 1, "n_group": 1}
PER_LAYER = {**SLIDING, "vocab_size_per_layer_input": VOCABULARY, "hidden_size_per_layer_input": 8}
GEMMA_3N = {**PER_LAYER, **WIDE, "num_hidden_layers": 5, "num_kv_shared_layers": 2, "laurel_rank": 4}
GEMMA_3N |= {"altup_num_inputs": 2, "activation_sparsity_pattern": None}
GEMMA_3N |= {
    "layer_types": ["sliding_attention", "sliding_attention", *["full_attention", "sliding_attention"] * 2][:5]
}
GEMMA_4 = {**PER_LAYER, "head_dim": 8, "global_head_dim": 16, "layer_types": TURNS, "num_kv_shared_layers": 0}
LLAMA_4 = {"attention_chunk_size": 16, "num_local_experts": 2, "intermediate_size_mlp": 48, "head_dim": 8}
GRANITE = {"attention_multiplier": 0.2, "logits_scaling": 2.0, "residual_multiplier": 0.5, "embedding_multiplier": 2.0}
DELTA = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
JAMBA = {"num_hidden_layers": 8, "num_experts": 2, "mamba_d_state": 4, "mamba_dt_rank": 4, "use_mamba_kernels": False}
BAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "attn_layer_indices": [1]}

ARCHITECTURES: Mapping[str, Tiny] = {
    "llama": tiny("llama"),
    "llama, rope llama3": tiny("llama", LLAMA3),
    "llama, rope yarn": tiny("llama", rope("yarn", factor=2.0)),
    "llama, rope linear": tiny("llama", rope("linear", factor=2.0)),
    "llama, rope dynamic": tiny("llama", rope("dynamic", factor=2.0)),
    "mistral, window": tiny("mistral", SLIDING),
    "qwen2": tiny("qwen2"),
    "qwen2, windows": tiny("qwen2", SLIDING, use_sliding_window=True, max_window_layers=1),
    "qwen3": tiny("qwen3", WIDE),
    "gemma": tiny("gemma", WIDE),
    "gemma2": tiny("gemma2", SLIDING, WIDE, query_pre_attn_scalar=24, attn_logit_softcapping=1.5),
    "gemma3_text": tiny("gemma3_text", SLIDING, WIDE, query_pre_attn_scalar=24, layer_types=TURNS),
    "gemma3n_text, shared layers": tiny("gemma3n_text", GEMMA_3N),
    "gemma4_text": tiny("gemma4_text", GEMMA_4),
    "gemma4_text, shared layers": tiny(
        "gemma4_text", GEMMA_4, layer_types=TURNS * 2, num_hidden_layers=4, num_kv_shared_layers=2
    ),
    "gpt_neox": tiny("gpt_neox", rotary_pct=0.25),
    "phi": tiny("phi"),
    "phi3": tiny("phi3"),
    "phi3, rope longrope": replace(tiny("phi3", LONG), but={"max_gen_toks: 20": "may grow"}),
    "gpt2": tiny("gpt2", n_embd=32, n_layer=2, n_head=4, n_positions=POSITIONS),
    "opt": tiny("opt", ffn_dim=48, word_embed_proj_dim=32, init_std=0.3),
    "smollm3": tiny("smollm3", num_hidden_layers=4),
    "cohere2": tiny("cohere2", SOME_SLIDE),
    "olmo2": tiny("olmo2"),
    "olmo3": tiny("olmo3", SOME_SLIDE),
    "exaone4": tiny("exaone4", SOME_SLIDE),
    "granite": tiny("granite", GRANITE),
    "glm4": tiny("glm4", head_dim=8),
    "starcoder2, window": tiny("starcoder2", SLIDING),
    "nemotron": tiny("nemotron"),
    "llama4_text, chunks": tiny("llama4_text", LLAMA_4, num_hidden_layers=4),
    "mixtral, window": tiny("mixtral", SLIDING, LOCAL_EXPERTS),
    "qwen3_moe": tiny("qwen3_moe", EXPERTS),
    "olmoe": tiny("olmoe", EXPERTS),
    "gpt_oss": tiny("gpt_oss", SLIDING, LOCAL_EXPERTS, head_dim=8, refused="gpt_oss"),
    "deepseek_v2": tiny("deepseek_v2", LATENT, v_head_dim=8, q_lora_rank=None, refused="deepseek_v2"),
    "deepseek_v3": tiny("deepseek_v3", LATENT, v_head_dim=8, q_lora_rank=16, refused="deepseek_v3"),
    "deepseek_v3, equal widths": tiny("deepseek_v3", LATENT, v_head_dim=16, q_lora_rank=16, refused="deepseek_v3"),
    "qwen3_next": tiny("qwen3_next", EXPERTS, DELTA, shared_expert_intermediate_size=16, refused="qwen3_next"),
    "jamba": tiny("jamba", JAMBA, refused="jamba"),
    "bamba": tiny("bamba", BAMBA, refused="bamba"),
    "lfm2": tiny("lfm2", layer_types=["conv", "full_attention"], refused="lfm2"),
    "mamba": tiny("mamba", state_size=4, refused="mamba"),
    "bert": tiny("bert", refused="bert"),
}
