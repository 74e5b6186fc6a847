"""Runs a press of kvpress on what a layer has cached of a prompt, beside the model's own attention."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.attention import Rope
from harness.attention.compressor import Compressed, Compressor
from harness.errors import InputError, first_line
from harness.hf.inputs import attention_modules
from harness.hf.kvpress_package import make_press
from harness.methods.knob_types import layer_seed


def compressions(model: Any, compressor: Compressor) -> list[_PressedLayer]:
    """Return what a press does in each layer. Raises InputError for one that cannot be run here."""
    make_press(compressor)
    return [_PressedLayer(compressor, module) for module in attention_modules(model)]


@dataclass(frozen=True)
class _PressedLayer:
    """Calls a fresh press each time, for some keep what they have seen."""

    compressor: Compressor
    module: Any

    def __call__(self, inputs: Tensor, k: Tensor, v: Tensor, rope: Rope) -> Compressed:
        """Compress, with random numbers that depend on seed and layer alone."""
        press, view = make_press(self.compressor), _view(self.module, rope)
        column = torch.arange(k.shape[2], device=k.device)
        given = {
            "position_embeddings": view.rotary_emb(k, column[None]),
            "hidden_states": inputs,
            "cache_position": column,
        }
        devices = [k.device] if k.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(layer_seed(self.compressor.seed, self.module.layer_idx))
            try:
                keys, values = press.compress(view, inputs, k.clone(), v.clone(), None, given)
            except Exception as error:  # presses fail in their own ways, such as at a prompt shorter than a window
                said = f"{self.compressor.press} fails on a prompt of {len(column)} tokens: {first_line(error)}"
                raise InputError(said) from error
        return Compressed(keys, values, _unmasked(keys, view.masked_key_indices))


@dataclass(frozen=True)
class _Rotary:
    """Stands in for a model's rotary embedding."""

    rope: Rope

    @property
    def inv_freq(self) -> Tensor:
        """Return radians per position, [D / 2]."""
        return self.rope.inv_freq

    def __call__(self, x: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and sines [1, N, D] of positions [1, N], in the dtype of x."""
        angles = (positions[..., None].float() * self.inv_freq.to(x.device, torch.float32)).repeat(1, 1, 2)
        cos, sin = ((wave * self.rope.scaling).to(x.dtype) for wave in (angles.cos(), angles.sin()))
        return cos, sin


def _view(module: Any, rope: Rope) -> Any:
    """Return an attention module to look at and to write on: what is set there, the model never sees."""
    view = copy.copy(module)
    view.rotary_emb = _Rotary(rope)
    view.masked_key_indices = None
    return view


def _unmasked(k: Tensor, masked: Sequence[Tensor] | None) -> Tensor | None:
    """Return which tokens [1, H, K] a press has not masked out, by batch row, head and token; None if it masks none."""
    if masked is None:
        return None
    kept = torch.ones_like(k[..., 0], dtype=torch.bool)
    kept[tuple(index.to(k.device) for index in masked)] = False
    return kept
