"""The KV cache as a model sees it: it knows where it stands, and keeps nothing."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers.cache_utils import CacheLayerMixin


class PassThroughLayer(CacheLayerMixin):  # type: ignore[misc]
    """A cache layer that knows its length and hands new keys and values straight through to attention."""

    is_sliding = False

    def __init__(self, cached: int) -> None:
        super().__init__()
        self._cached = cached
        self.is_initialized = True

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        """Nothing to allocate."""

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """The new tokens as they are."""
        return key_states, value_states

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Length and offset of the columns a mask has to cover."""
        return self._cached + query_length, 0

    def get_seq_length(self) -> int:
        """Tokens before this pass."""
        return self._cached

    def get_max_length(self) -> int:
        """No limit."""
        return -1
