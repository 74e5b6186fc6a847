"""Counts what a decode step of a whole model moves under a method."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from harness.attention import LayerShape
from harness.methods.contract import Method


def transfers(method: Method[Any], layers: Iterable[LayerShape], n: int) -> float:
    """Count the elements that a decode step moves over all KV heads and layers at n cached tokens."""
    return sum(layer.kv_heads * method.transfers(layer.visible(n), layer.head_dim) for layer in layers)
