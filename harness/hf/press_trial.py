"""Says before weights are read why a press cannot be run on a model: by name, and by a trial on a small copy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import torch

from harness.attention import LayerShape, Rope
from harness.attention.compressor import Compressor
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.hf.inputs import attention_modules
from harness.hf.kvpress_package import make_press, package
from harness.hf.shrink import shrunken
from harness.hf.trial import random_copy

TOKENS, SHARE = 2048, 0.5
"""Tokens of the prompt that is tried, more than a press's window, and the share that is removed, if any is."""


@dataclass(frozen=True)
class _Kind:
    """Holds a configuration, told from others by its text."""

    text: str
    config: Any = field(compare=False)


def press_refusal(
    compressor: Compressor, config: Any, ropes: Sequence[Rope | None], layers: Sequence[LayerShape]
) -> str | None:
    """Say why a press cannot be run on a model of this kind; None if it can. Reads no weights."""
    try:
        make_press(compressor)
        _check_kind(config.get_text_config().model_type)
        pairs = zip(ropes, layers, strict=True)
        if not all(rope and rope.width == layer.head_dim and not rope.interleaved for rope, layer in pairs):
            raise InputError("kvpress rotates whole heads in halves, as this model does not: choose another model")
        share = SHARE if compressor.ratio else 0
        return _failure(_Kind(config.to_json_string(), config), replace(compressor, ratio=share))
    except InputError as error:
        return str(error)


def _check_kind(kind: str) -> None:
    """Raise InputError for an architecture that kvpress does not name: it makes queries in its own way."""
    known = {cls.config_class().get_text_config().model_type for cls in package().SUPPORTED_MODELS}
    if kind not in known:
        names = ", ".join(sorted(known))
        raise InputError(f"kvpress does not know architecture '{kind}', only {names}: choose another model")


@cache
@torch.inference_mode()
def _failure(kind: _Kind, compressor: Compressor) -> str | None:
    """Compress a random prompt in the first layer of a small copy, and say how that fails; None if it does not."""
    model = random_copy(shrunken(kind.config), torch.float32, trust_remote_code=False)
    layer = Bridge(model).compress(compressor)[0]  # within eager attention some presses refuse to be run
    module = attention_modules(model)[0]
    draw = torch.Generator().manual_seed(0)
    inputs = torch.randn(1, TOKENS, module.k_proj.in_features, generator=draw)
    heads = module.k_proj.out_features // module.head_dim
    k, v = torch.randn(2, 1, heads, TOKENS, module.head_dim, generator=draw)
    try:
        layer(inputs, k, v, Rope.plain(10_000, module.head_dim))
    except InputError as error:
        return f"{error} (a random one, in a small copy of the model)"
    return None
