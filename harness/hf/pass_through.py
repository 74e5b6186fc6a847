"""Stands in for a model's KV cache, which the engine holds."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin


class PassThroughLayer(CacheLayerMixin):  # type: ignore[misc]
    """Hands new keys and values straight through to attention; the KV cache itself belongs to the engine."""

    is_sliding = False

    def __init__(self, cached: int) -> None:
        super().__init__()
        self._cached = cached
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Allocate nothing."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Return the new tokens as they are."""
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return length and offset of the columns a mask has to cover."""
        return self._cached + query_length, 0

    def get_seq_length(self) -> int:
        """Count the tokens before this pass."""
        return self._cached

    def get_max_length(self) -> int:
        """Return -1: there is no limit."""
        return -1
