"""Asks transformers, before weights, if this machine can run weights that are stored quantised."""

from __future__ import annotations

import copy
from typing import Any

from transformers.quantizers import AutoHfQuantizer

from harness.errors import InputError, first_line


def check_quantised(name: str, config: Any, device: str) -> None:
    """Raise InputError, naming the kind, where its package or its hardware is missing.

    Weights that would be taken apart into plain ones, where the kind's own kernels cannot run, are another model.
    """
    stored = _stored(config)
    if not stored:
        return
    kind = str(stored.get("quant_method", "an unknown kind"))
    try:
        quantizer = AutoHfQuantizer.from_config(copy.deepcopy(stored), pre_quantized=True)
        asked = getattr(quantizer.quantization_config, "dequantize", False)
        quantizer.validate_environment(device_map={"": device}, dtype=None)
        plain = getattr(quantizer.quantization_config, "dequantize", False) and not asked
        why = "this machine has no kernels for it" if plain else None
    except Exception as error:  # each kind has errors of its own
        why = first_line(error)
    if why:
        raise InputError(f"model '{name}': its weights are quantised ({kind}), which cannot be run here: {why}")


def _stored(config: Any) -> dict[str, Any]:
    stored = getattr(config, "quantization_config", None) or {}
    return dict(stored if isinstance(stored, dict) else stored.to_dict())
