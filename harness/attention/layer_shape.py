"""The shape of one attention layer of a model, as far as its cost depends on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LayerShape:
    """Describes an attention layer: KV heads, head dimension, and how many tokens it sees at most (None: all)."""

    kv_heads: int
    head_dim: int
    window: int | None = None

    def visible(self, n: int) -> int:
        """Count the tokens that a query sees when n are cached."""
        return n if self.window is None else min(n, self.window)
