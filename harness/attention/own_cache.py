"""Holds K and V as a method reads them back, in place of the exact ones."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from harness.attention.step import LayerPrefix, Step


class OwnCache:
    """Holds keys and values [B, H, S + T, D], of which `length` tokens are filled; the owner overwrites them at will.

    They are kept as they are read back, not as packed codes: what they would take in memory is the method's `cost`.
    """

    def __init__(self, prefix: LayerPrefix, k: Tensor, v: Tensor) -> None:
        b, h, s, d = prefix.k.shape
        self.k, self.v = (prefix.k.new_zeros(b, h, s + prefix.decode_steps, d) for _ in range(2))
        self.k[:, :, :s] = k
        self.v[:, :, :s] = v
        self.length = s

    def append(self, k: Tensor, v: Tensor) -> None:
        """Store the newest token, [B, H, D] each."""
        self.k[:, :, self.length] = k
        self.v[:, :, self.length] = v
        self.length += 1

    def seen_by(self, step: Step) -> Step:
        """Return the step with these keys and values."""
        return replace(step, k=self.k[:, :, : self.length], v=self.v[:, :, : self.length])
