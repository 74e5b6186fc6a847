"""Guesses a tiny configuration of any architecture that transformers knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from conformance.models import ARCHITECTURES
from conformance.tiny import COMMON, Tiny, merged

KINDS = sorted(set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES) - {tiny.kind for tiny in ARCHITECTURES.values()})
"""Every architecture of causal language models that the table of models lacks."""

MOST = 3_000_000
"""Parameters of a model that is not called tiny any more."""

FEW_HEADS = {"n_layers": 2, "n_heads": 4, "decoder_layers": 2, "decoder_attention_heads": 4, "decoder_ffn_dim": 48}
"""What some older configurations call what COMMON has."""


def guess(kind: str) -> Tiny | None:
    """Find settings with which a model of an architecture is tiny: those of COMMON, or of all models of the table."""
    all_known = merged(FEW_HEADS, *(tiny.settings for tiny in ARCHITECTURES.values() if not tiny.refused), COMMON)
    usual = {name: all_known[name] for name in all_known.keys() - {"rope_parameters", "layer_types"}}
    return next((tiny for tiny in (Tiny(kind, COMMON), Tiny(kind, _read(kind, usual))) if _is_tiny(tiny)), None)


def _read(kind: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Choose the settings that an architecture's configuration has."""
    try:
        has = AutoConfig.for_model(kind).to_dict()
    except Exception:  # foreign code fails in its own ways
        has = {}
    return {name: value for name, value in settings.items() if name in COMMON or name in has}


def _is_tiny(tiny: Tiny) -> bool:
    try:
        with torch.device("meta"):
            made = AutoModelForCausalLM.from_config(AutoConfig.for_model(tiny.kind, **tiny.settings))
    except Exception:  # foreign code refuses a guess in its own ways
        return False
    return sum(parameter.numel() for parameter in made.parameters()) < MOST
