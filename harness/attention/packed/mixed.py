"""Holds salient tokens in more bits than others, each set with scales of its own, and the newest tokens exactly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Self

import torch
from torch import Tensor

from harness.attention.packed.bits import pack, unpack_into
from harness.attention.quantised import codes_over
from harness.attention.selection import columns_of, gather_mask, gather_tokens
from harness.attention.step import LayerPrefix, Step


class Levels(NamedTuple):
    """Holds numbers in codes: packed ones, their scales and their least numbers, which broadcast over the codes."""

    codes: Tensor
    scale: Tensor
    low: Tensor

    @classmethod
    def of(cls, x: Tensor, bits: int, over: tuple[int, ...]) -> Self:
        """Encode x [B, H, n, D] between the least and the greatest over some axes, which share a scale."""
        codes, scale, low = codes_over(x, bits, over)
        return cls(pack(codes, bits), scale, low)

    def read_into(self, bits: int, out: Tensor) -> None:
        """Read back into out [B, H, n, D]."""
        unpack_into(self.codes, bits, out).mul_(self.scale).add_(self.low)


@dataclass(frozen=True)
class Part:
    """Holds the K and V of a set of tokens, in columns [B, H, n]; heads that have fewer are filled up, not `live`.

    A channel of K has one scale over the set; the i-th tokens of all KV heads, which are different tokens, share that
    of their V. Source: ZipCache, arXiv 2405.14256, section 4.2 and its released code.
    """

    bits: int
    columns: Tensor
    live: Tensor
    k: Levels
    v: Levels

    @classmethod
    def of(cls, k: Tensor, v: Tensor, kept: Tensor, bits: int) -> Self:
        """Encode what kept [B, H, N] bool holds of k and v [B, H, N, D]."""
        columns, live = columns_of(kept)  # what fills a head up is one of its own tokens, which widens no range
        keys, values = gather_tokens(k, columns), gather_tokens(v, columns)
        return cls(bits, columns, live, Levels.of(keys, bits, (2,)), Levels.of(values, bits, (1, 3)))

    def read_into(self, k: Tensor, v: Tensor) -> None:
        """Read the tokens back into k and v [B, H, n, D]."""
        self.k.read_into(self.bits, k)
        self.v.read_into(self.bits, v)


class MixedCache:
    """Holds a layer's tokens in two sets of codes, and those that came since exactly; all rows get one in a step.

    Tokens are read back set by set, then the newest. Values are divided by the root of their channel's greatest before
    they are encoded, and multiplied on reading.
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
        """Read all K and V back, [B, H, K, D] each, in at least float32."""
        b, h, _, d = self._channel.shape
        coded = sum(part.columns.shape[2] for part in self._parts)
        k, v = (self._channel.new_empty(b, h, coded + self.exact, d) for _ in range(2))
        start = 0
        for part in self._parts:
            end = start + part.columns.shape[2]
            part.read_into(k[:, :, start:end], v[:, :, start:end])
            start = end
        v[:, :, :coded] *= self._channel
        k[:, :, coded:], v[:, :, coded:] = self._newest[:, :, :, : self.exact]
        return k, v

    def seen(self, mask: Tensor) -> Tensor:
        """Return which of what is read back mask [B, 1, N] shows, [B, H, K]."""
        of_sets = [gather_mask(mask, part.columns) & part.live for part in self._parts]
        newest = mask[..., self.tokens : self.tokens + self.exact]
        return torch.cat([*of_sets, newest.expand(-1, self.salient.shape[1], -1)], 2)

    def by_column(self, x: Tensor) -> Tensor:
        """Put what is read back [B, H, K, D] in the order of columns, [B, H, N, D], zero at padding."""
        b, h, _, d = x.shape
        n = self.tokens + self.exact
        of_sets = [part.columns.masked_fill(~part.live, n) for part in self._parts]
        newest = torch.arange(self.tokens, n, device=x.device).expand(b, h, -1)
        at = torch.cat([*of_sets, newest], 2)[..., None].expand(-1, -1, -1, d)
        return x.new_zeros(b, h, n + 1, d).scatter_(2, at, x)[:, :, :n]
