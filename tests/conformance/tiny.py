"""Describes tiny checkpoints with random weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

POSITIONS = 96
VOCABULARY = 320
WINDOW = 9
"""Tokens that a sliding layer sees: fewer than most prompts have, so that it matters."""

COMMON: Mapping[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": POSITIONS,
    "initializer_range": 0.3,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
VISION = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
VISION |= {"image_size": 16, "patch_size": 8}
"""The tower of a model that sees pictures too."""


@dataclass(frozen=True)
class Tiny:
    """Describes a model by its architecture and its configuration.

    `refused` are words of the sentence with which it is refused; empty for a model that runs like hf's. `head` is the
    class of transformers that makes it; `finish` may change the folder that it was saved in. `but` are words of the
    sentences with which single settings are refused.
    """

    kind: str
    settings: Mapping[str, Any]
    refused: str = ""
    head: str = "AutoModelForCausalLM"
    finish: Callable[[Path], object] = bool
    but: Mapping[str, str] = field(default_factory=dict)


def merged(*settings: Mapping[str, Any]) -> dict[str, Any]:
    """Join settings; of those that collide the last one holds."""
    return {key: value for part in settings for key, value in part.items()}


def tiny(kind: str, *settings: Mapping[str, Any], refused: str = "", **more: Any) -> Tiny:
    """Describe a model that is text alone by what its configuration says beyond COMMON."""
    return Tiny(kind, merged(COMMON, *settings, more), refused)


def rope(kind: str, original: int = POSITIONS // 2, **more: Any) -> dict[str, Any]:
    """Scale positions from the original ones, half of those that the model has."""
    half = {"original_max_position_embeddings": original}
    return {"rope_parameters": {"rope_type": kind, "rope_theta": 1e4, **half, **more}, **half}
