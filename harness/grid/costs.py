"""What a decode step of a whole model moves under a method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from harness.methods import Method


@dataclass(frozen=True)
class LayerShape:
    """KV heads and head dimension of an attention layer, and how many tokens it sees at most (None: all)."""

    kv_heads: int
    head_dim: int
    window: int | None = None

    def transfers(self, method: Method[Any], n: int) -> float:
        """Elements per decode step at n cached tokens."""
        seen = n if self.window is None else min(n, self.window)
        return self.kv_heads * method.transfers(seen, self.head_dim)


def transfers(method: Method[Any], layers: Iterable[LayerShape], n: int) -> float:
    """Elements that a decode step moves over all KV heads and layers at n cached tokens."""
    return sum(layer.transfers(method, n) for layer in layers)
