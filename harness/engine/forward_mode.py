"""What a forward pass of a model asks of the engine, and what the engine is to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from harness.attention.scores import Scores


@dataclass(frozen=True)
class LayerCall:
    """What one layer asks of attention. R rows, T new tokens, columns `cached` .. cached + T - 1 of the cache.

    q [R, Hq, T, D]; k and v [R, Hkv, T, D] of the new tokens only; window_mask [1, 1, T, cached + T] bool where
    the layer sees less than all that is causal (sliding windows), else None.
    """

    layer: int
    q: Tensor
    k: Tensor
    v: Tensor
    window_mask: Tensor | None
    scores: Scores


class ForwardMode(Protocol):
    """A forward pass's idea of attention."""

    @property
    def cached(self) -> int:
        """Columns of the cache before this pass."""
        ...

    def attend(self, call: LayerCall) -> Tensor:
        """Output [R, Hq, T, D]."""
        ...
