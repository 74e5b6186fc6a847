"""Counts what a method really moved, step by step, where that depends on the data."""

from __future__ import annotations

from torch import Tensor


class Meter:
    """Holds the bits [B] that all KV heads of one layer moved in each decode step so far, in order."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []

    def note(self, bits: Tensor) -> None:
        """Note the bits of one more step: [B], or [B, H] by KV head."""
        self.steps.append(bits.flatten(1).sum(1) if bits.dim() > 1 else bits)
