"""Holds K or V of a layer as packed codes in buffers that have room for all tokens to come."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix
from harness.attention.packed import PackedTokens, Uniform
from harness.attention.packed.floats import E4M3
from harness.attention.packed.ranges import Ranges

ROOM = 128
"""The buffers' tokens are a multiple of as many."""


@dataclass(frozen=True)
class Groups:
    """Says which numbers share a scale: `tokens` of `channels` each; 0 of either: all.

    scale, low: [B, H, groups of tokens, groups of channels]; `floats`: codes are E4M3, and nothing is added (low is the
    scale). With `learns`, tokens to come bring their own.
    """

    bits: int
    tokens: int
    channels: int
    scale: Tensor
    low: Tensor
    floats: bool = False
    learns: bool = False


@dataclass(frozen=True)
class HeldCodes:
    """Holds the codes of K or of V by places [B, H, C, W], as harness/attention/packed has them.

    `base` [B] int32 counts the tokens of each row that its prompt brought. When `tail` tokens are exact the `chunk`
    oldest of them are encoded. W bytes of a token hold channels that lie W apart.
    """

    codes: Tensor
    groups: Groups
    base: Tensor
    tail: int
    chunk: int

    @classmethod
    def of(cls, tokens: PackedTokens, prefix: LayerPrefix) -> Self:
        """Copy the codes of a prompt into buffers with room for the tokens to come."""
        base = torch.tensor(tokens.settled, dtype=torch.int32, device=prefix.k.device)
        codes, groups = LAYOUTS[type(tokens.form)](tokens, prefix)
        return cls(codes, groups, base, tokens.tail, tokens.chunk)

    def strides(self) -> tuple[int, ...]:
        """Return those of scales and least numbers; 0 along what all share."""
        scale = self.groups.scale
        return tuple(0 if size == 1 else step for size, step in zip(scale.shape, scale.stride(), strict=True))

    def options(self, side: str, width: int, block: int | None = None) -> dict[str, Any]:
        """Return what a kernel is compiled for, each name behind that of the side, k or v.

        Where all tokens share a scale, a group is a `block` of them.
        """
        groups = self.groups
        options: dict[str, Any] = {"bits": groups.bits, "channels": min(groups.channels or width, width)}
        options |= {"each": self.codes.shape[3], "floats": groups.floats, "tokens": groups.tokens or block or 1}
        return {f"{side}_{name}": value for name, value in options.items()}


def _uniform(tokens: PackedTokens, prefix: LayerPrefix) -> tuple[Tensor, Groups]:
    form, d = tokens.form, prefix.k.shape[3]
    assert isinstance(form, Uniform)
    across, along = (form.size, 0) if form.dim == -1 else (1, form.size)
    share = along or 1
    codes = _codes(prefix, form.bits)
    scale = prefix.k.new_ones(*prefix.k.shape[:2], -(-codes.shape[2] // share), -(-d // across))
    low = torch.zeros_like(scale)
    if tokens.prompt is not None:
        for buffer, piece in zip((codes, scale, low), tokens.prompt.held, strict=True):
            buffer[:, :, : piece.shape[2]] = piece
    return codes, Groups(form.bits, share, 0 if across >= d else across, scale, low, learns=True)


def _ranges(tokens: PackedTokens, prefix: LayerPrefix) -> tuple[Tensor, Groups]:
    form = tokens.form
    assert isinstance(form, Ranges)
    return _all_in(tokens, prefix, form.bits), Groups(form.bits, 0, 1, form.scale.contiguous(), form.low.contiguous())


def _e4m3(tokens: PackedTokens, prefix: LayerPrefix) -> tuple[Tensor, Groups]:
    form = tokens.form
    assert isinstance(form, E4M3)
    scale = form.scale.to(torch.float32)
    return _all_in(tokens, prefix, 8), Groups(8, 0, 0, scale, scale, floats=True)


LAYOUTS: Mapping[type, Callable[[PackedTokens, LayerPrefix], tuple[Tensor, Groups]]] = {
    Uniform: _uniform,
    Ranges: _ranges,
    E4M3: _e4m3,
}
"""How each format lies in the buffers."""


def _all_in(tokens: PackedTokens, prefix: LayerPrefix, bits: int) -> Tensor:
    codes = _codes(prefix, bits)
    if tokens.prompt is not None:
        codes[:, :, : tokens.prompt.tokens] = tokens.prompt.held[0]
    return codes


def _codes(prefix: LayerPrefix, bits: int) -> Tensor:
    """Make room for the codes of each row's prompt and of all its steps."""
    b, h, _, d = prefix.k.shape
    room = -(-(int(prefix.lengths.max()) + prefix.decode_steps) // ROOM) * ROOM
    return prefix.k.new_zeros(b, h, room, -(-d // (8 // bits)), dtype=torch.uint8)
