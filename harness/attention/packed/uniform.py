"""Encodes groups of numbers in few bits between their least and their greatest."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harness.attention.packed.bits import pack, unpack
from harness.attention.packed.held import Held
from harness.attention.quantised import codes_of, from_codes


@dataclass(frozen=True)
class Uniform:
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
        codes, scale, low = held
        width = scale.shape[-1] * (self.size if self.dim == -1 else 1)
        groups: Tensor = unpack(codes, self.bits, width).unflatten(self.dim, (-1, self.size))  # type: ignore[no-untyped-call]
        return from_codes(groups, scale.unsqueeze(self.dim), low.unsqueeze(self.dim)).flatten(self.dim - 1, self.dim)
