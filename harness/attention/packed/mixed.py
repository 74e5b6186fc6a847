"""Holds salient tokens in more bits than others, each set with scales of its own, and the newest tokens exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from harness.attention.packed.bits import pack, unpack
from harness.attention.selection import columns_of, gather_tokens
from harness.attention.step import LayerPrefix, Step


class Levels(NamedTuple):
    """Holds numbers in codes: packed ones, their scales and their least numbers, which broadcast over the codes."""

    codes: Tensor
    scale: Tensor
    low: Tensor

    @classmethod
    def of(cls, x: Tensor, bits: int, over: tuple[int, ...]) -> Self:
        """Encode x [B, H, n, D] between the least and the greatest over some axes, which share a scale."""
        low, high = x.amin(over, keepdim=True), x.amax(over, keepdim=True)
        scale = (high - low) / ((1 << bits) - 1)
        scale = scale.masked_fill(scale == 0, 1)
        return cls(pack(((x - low) / scale).round_(), bits), scale, low)

    def read(self, bits: int, width: int) -> Tensor:
        """Read back [B, H, n, D] of D = `width`."""
        return unpack(self.codes, bits, width).to(self.low.dtype) * self.scale + self.low


@dataclass(frozen=True)
class Part:
    """Holds the K and V of a set of tokens: `column` [B, H, n], where N columns mean that a place is not filled.

    A channel of K has one scale over the set; the i-th tokens of all KV heads, which are different tokens, share that
    of their V. Source: ZipCache, arXiv 2405.14256, section 4.2 and its released code.
    """

    bits: int
    column: Tensor
    k: Levels
    v: Levels

    @classmethod
    def of(cls, k: Tensor, v: Tensor, kept: Tensor, bits: int) -> Self:
        """Encode what kept [B, H, N] bool holds of k and v [B, H, N, D]."""
        index, live = columns_of(kept)  # what fills a head up is one of its own tokens, which widens no range
        keys, values = gather_tokens(k, index), gather_tokens(v, index)
        column = index.masked_fill(~live, k.shape[2])
        return cls(bits, column, Levels.of(keys, bits, (2,)), Levels.of(values, bits, (1, 3)))

    def write(self, k: Tensor, v: Tensor) -> None:
        """Write the tokens to their columns of k and v [B, H, N + 1, D]; column N is for nobody."""
        at = self.column[..., None].expand(-1, -1, -1, k.shape[3])
        k.scatter_(2, at, self.k.read(self.bits, k.shape[3]))
        v.scatter_(2, at, self.v.read(self.bits, k.shape[3]))


class MixedCache:
    """Holds a layer's tokens in two sets of codes, and those that came since exactly; all rows get one in a step.

    Values are divided by the root of their channel's greatest before they are encoded, and multiplied on reading.
    """

    def __init__(self, prefix: LayerPrefix, salient: Tensor, bits: tuple[int, int], gap: int) -> None:
        b, h, _, d = prefix.k.shape
        self._bits = bits
        self._newest = prefix.k.new_zeros(2, b, h, gap, d)
        self.encode(prefix.k, prefix.v, prefix.visible, salient)

    def encode(self, k: Tensor, v: Tensor, live: Tensor, salient: Tensor) -> None:
        """Encode all of k and v [B, H, N, D] that is live [B, 1, N], salient [B, H, N] tokens in more bits."""
        self.salient = salient & live
        self.tokens, self.exact = k.shape[2], 0
        keys, values = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (k, v))
        values = values.masked_fill(~live[..., None], 0)
        self._channel = values.abs().amax(2, keepdim=True).sqrt()
        values = values / self._channel.masked_fill(self._channel == 0, 1)
        sets = zip((self.salient, ~salient & live), self._bits, strict=True)
        self._parts = [Part.of(keys, values, kept, bits) for kept, bits in sets]

    def append(self, step: Step) -> None:
        """Add the step's newest token exactly."""
        self._newest[0, :, :, self.exact] = step.k[:, :, -1]
        self._newest[1, :, :, self.exact] = step.v[:, :, -1]
        self.exact += 1

    def read(self) -> tuple[Tensor, Tensor]:
        """Read all K and V back, [B, H, N, D] each, in at least float32; zero where nobody is live."""
        b, h, _, d = self._channel.shape
        k, v = (self._channel.new_zeros(b, h, self.tokens + 1, d) for _ in range(2))
        for part in self._parts:
            part.write(k, v)
        pairs = zip((k, v * self._channel), self._newest, strict=True)
        k, v = (torch.cat([x[:, :, :-1], newest[:, :, : self.exact].to(x.dtype)], 2) for x, newest in pairs)
        return k, v
