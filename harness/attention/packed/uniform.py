"""Encodes groups of numbers in few bits between their least and their greatest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.packed.bits import pack, unpack_into
from harness.attention.packed.held import Format, Held
from harness.attention.quantised import codes_of


@dataclass(frozen=True)
class Uniform(Format):
    """Encodes groups of `size` consecutive entries of axis -1 (channels) or -2 (tokens) in `bits`, as `quantised` does.

    Held are the codes, packed along channels, with a scale and a least number for each group, in the dtype of the
    cache.
    """

    bits: int
    size: int
    dim: int = -1

    def encode(self, x: Tensor) -> Held:
        """Return codes [B, H, n, W], scales and least numbers [B, H, n, D / size] or [B, H, n / size, D]."""
        codes, scale, low = codes_of(x, self.bits, self.size, self.dim)
        flat = codes.flatten(self.dim - 1, self.dim)
        return pack(flat, self.bits), scale.squeeze(self.dim), low.squeeze(self.dim)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D]."""
        codes, scale, _ = held
        width = scale.shape[-1] * (self.size if self.dim == -1 else 1)
        out = scale.new_empty(*codes.shape[:-1], width)
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back into out [B, H, n, D]; in less than float32 by way of it."""
        codes, scale, low = held
        accurate = torch.promote_types(out.dtype, torch.float32)
        found = out if out.dtype == accurate else torch.empty_like(out, dtype=accurate)
        groups: Tensor = unpack_into(codes, self.bits, found).unflatten(self.dim, (-1, self.size))  # type: ignore[no-untyped-call]
        groups.mul_(scale.unsqueeze(self.dim)).add_(low.unsqueeze(self.dim))
        if found is not out:
            out.copy_(found)
