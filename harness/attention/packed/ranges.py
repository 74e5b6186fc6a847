"""Encodes channels in few bits between ends that the prompt set; what lies beyond is read back as an end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from harness.attention.packed.bits import pack, unpack_into
from harness.attention.packed.held import Format, Held


@dataclass(frozen=True)
class Ranges(Format):
    """Encodes each channel in `bits` from `low` in steps of `scale` [B, H, 1, D], which are the same for all tokens."""

    bits: int
    low: Tensor
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor, live: Tensor, bits: int) -> Self:
        """Take each channel's least and greatest entry of the tokens of x [B, H, S, D] that are `live` [B, 1, S]."""
        dead = ~live[..., None]
        accurate = x.to(torch.promote_types(x.dtype, torch.float32))
        low = accurate.masked_fill(dead, torch.inf).amin(2, keepdim=True)
        high = accurate.masked_fill(dead, -torch.inf).amax(2, keepdim=True)
        return cls(bits, low.to(x.dtype), ((high - low) / ((1 << bits) - 1)).to(x.dtype))

    def encode(self, x: Tensor) -> Held:
        """Return codes [B, H, n, W]."""
        accurate = x.to(torch.promote_types(x.dtype, torch.float32))
        step = self.scale.masked_fill(self.scale == 0, 1)  # of a channel whose ends are one: read back as that
        codes = (accurate - self.low).div_(step).round_().clamp_(0, (1 << self.bits) - 1)
        return (pack(codes, self.bits),)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D]."""
        (codes,) = held
        accurate = torch.promote_types(self.low.dtype, torch.float32)
        out = codes.new_empty(*codes.shape[:-1], self.low.shape[-1], dtype=accurate)
        return unpack_into(codes, self.bits, out).mul_(self.scale).add_(self.low).to(self.low.dtype)
