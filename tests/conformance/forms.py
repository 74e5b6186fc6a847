"""Checkpoints that are more, or other, than a decoder's weights, and what is to become of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from conformance.models import GEMMA_4, SLIDING, WIDE
from conformance.tiny import COMMON, VISION, Tiny, merged

TWO_SIDES = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 48, "decoder_ffn_dim": 48}
TWO_SIDES |= {"d_model": 32, "encoder_attention_heads": 4, "decoder_attention_heads": 4}
PARTS = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [2, 1, 1]}
QWEN_VISION = {"depth": 1, "embed_dim": 16, "num_heads": 2, "hidden_size": 32, "patch_size": 8, "mlp_ratio": 1}
ADAPTER = {
    "peft_type": "LORA",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj"],
    "base_model_name_or_path": "base",
}


def wrapper(kind: str, text: Mapping[str, Any], vision: Mapping[str, Any], refused: str = "", **more: Any) -> Tiny:
    """Describe a model that reads text and pictures, of which it is shown none."""
    settings = {"text_config": merged(COMMON, text), "vision_config": dict(vision), **more}
    return Tiny(kind, settings, refused, "AutoModelForImageTextToText")


def two_sided(kind: str, **settings: Any) -> Tiny:
    """Describe an encoder-decoder."""
    return Tiny(kind, merged(COMMON, settings), "encoder-decoder", "AutoModelForSeq2SeqLM")


def folder(refused: str, finish: Callable[[Path], object]) -> Tiny:
    """Describe a llama whose folder is changed after it was saved."""
    return Tiny("llama", COMMON, refused, finish=finish)


def quantised(method: str, **settings: Any) -> Tiny:
    """Describe a llama whose configuration says that its weights are quantised."""
    return folder(
        method, lambda path: lay_over(path / "config.json", quantization_config=settings | {"quant_method": method})
    )


def lay_over(file: Path, **values: Any) -> None:
    """Replace keys of a JSON file."""
    before = json.loads(file.read_text()) if file.exists() else {}
    file.write_text(json.dumps({**before, **values}))


def _adapter_alone(path: Path) -> None:
    (path / "config.json").unlink()
    (path / "model.safetensors").rename(path / "adapter_model.safetensors")
    lay_over(path / "adapter_config.json", **ADAPTER)


def _adapter_beside(path: Path) -> None:
    (path / "adapter_model.safetensors").write_bytes((path / "model.safetensors").read_bytes())
    lay_over(path / "adapter_config.json", **ADAPTER)


FORMS: Mapping[str, Tiny] = {
    "gemma3 with a picture tower": wrapper(
        "gemma3", SLIDING | WIDE, VISION, mm_tokens_per_image=4, image_token_index=5
    ),
    "gemma4 with a picture tower": wrapper("gemma4", GEMMA_4, {**VISION, "num_key_value_heads": 2, "head_dim": 8}),
    "llava": wrapper(
        "llava", {"model_type": "llama"}, {**VISION, "model_type": "clip_vision_model"}, "llava", image_token_index=5
    ),
    "qwen2_vl": wrapper("qwen2_vl", {"rope_parameters": PARTS}, QWEN_VISION, "qwen2_vl", image_token_id=5),
    "mistral3": wrapper(
        "mistral3", {"model_type": "mistral"}, {**VISION, "model_type": "pixtral", "head_dim": 8}, "mistral3"
    ),
    "t5": two_sided("t5", d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4),
    "bart": two_sided("bart", **TWO_SIDES),
    "llama with a head for rewards": Tiny(
        "llama", COMMON, "predicts no next token", "AutoModelForSequenceClassification"
    ),
    "LoRA adapter alone": folder("adapter", _adapter_alone),
    "LoRA adapter beside weights": folder("adapter", _adapter_beside),
    "gptq": quantised("gptq", bits=4, group_size=128, desc_act=False),
    "awq": quantised("awq", bits=4, group_size=128, version="gemm", zero_point=True),
    "bitsandbytes": quantised("bitsandbytes", load_in_4bit=True, bnb_4bit_quant_type="nf4"),
    "compressed-tensors": quantised("compressed-tensors", format="pack-quantized", config_groups={}),
    "torchao": quantised("torchao", quant_type={"default": {"_type": "Int8WeightOnlyConfig", "_data": {}}}),
    "hqq": quantised("hqq", quant_config={"weight_quant_params": {"nbits": 4, "group_size": 64}}),
    "fp8": quantised("fp8", activation_scheme="dynamic", weight_block_size=[128, 128]),
    "mxfp4": quantised("mxfp4", modules_to_not_convert=[]),
}
