"""Holds K and V as projected weights would have made them, where the model fills its cache with the exact ones."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.own_cache import OwnCache
from harness.attention.step import LayerPrefix, Step
from harness.attention.unrotated import rope_of
from harness.attention.weights import TruncatedProjections


class ProjectedTokens:
    """Holds the projected keys and values of a layer, multiplied out."""

    def __init__(self, prefix: LayerPrefix) -> None:
        assert isinstance(prefix.weights, TruncatedProjections)
        self._weights, self._rope = prefix.weights, rope_of(prefix)
        self._first = prefix.first[:, None]
        columns = torch.arange(prefix.k.shape[2], device=prefix.k.device)
        self._cache = OwnCache(prefix, *self._project(prefix.k, prefix.v, columns, prefix.mask))

    def take(self, step: Step) -> Step:
        """Add a step's newest token, and return the step with all tokens as they are held."""
        column = torch.tensor([self._cache.length], device=step.k.device)
        newest = self._project(step.k[:, :, -1:], step.v[:, :, -1:], column, step.mask[:, :, -1:])
        self._cache.append(*(x[:, :, 0] for x in newest))
        return self._cache.seen_by(step)

    def _project(self, k: Tensor, v: Tensor, columns: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Project K and V [B, H, N, D] of tokens in columns [N]; padding stays zero."""
        keys = self._weights.project_keys(k, self._rope, columns - self._first)
        padding = ~mask[..., None]
        return keys.masked_fill(padding, 0), self._weights.project_values(v).masked_fill(padding, 0)
