"""Counts the elements that a decode step moves: in a KV head of one layer, and in a whole model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Protocol

from harness.attention import LayerShape


class Costed(Protocol):
    """Says what it moves: every method does."""

    def transfers(self, n: int, d: int) -> float:
        """Count the elements moved per KV head and decode step at n cached tokens and head dimension d."""
        ...


def dense_transfers(n: int, d: int) -> float:
    """Count the elements of a dense decode step per KV head: n tokens of K and V read, one written (2ND + 2D)."""
    return 2 * n * d + 2 * d


def transfers(method: Costed, layers: Iterable[LayerShape], n: int) -> float:
    """Count the elements that a decode step moves over all KV heads and layers at n cached tokens.

    In a layer with a window a method acts on what the layer sees, and is charged for no more.
    """
    return transfers_of_kinds(method, Counter(layers), n)


def transfers_of_kinds(method: Costed, kinds: Mapping[LayerShape, int], n: int) -> float:
    """Count the same over so many layers of each kind: most models have one or two."""
    return sum(
        count * layer.kv_heads * method.transfers(layer.visible(n), layer.head_dim) for layer, count in kinds.items()
    )
