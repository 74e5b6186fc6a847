"""Holds K and V as projected weights would have made them, where the model fills its cache with the exact ones."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from harness.attention.step import LayerPrefix, Step
from harness.attention.unrotated import rope_of
from harness.attention.weights import TruncatedProjections


class ProjectedTokens:
    """Holds the projected keys and values of a layer, multiplied out."""

    def __init__(self, prefix: LayerPrefix) -> None:
        assert isinstance(prefix.weights, TruncatedProjections)
        self._weights, self._rope = prefix.weights, rope_of(prefix)
        self._first = prefix.first[:, None]
        b, h, s, d = prefix.k.shape
        self._k, self._v = (prefix.k.new_zeros(b, h, s + prefix.decode_steps, d) for _ in range(2))
        columns = torch.arange(s, device=prefix.k.device)
        self._k[:, :, :s], self._v[:, :, :s] = self._project(prefix.k, prefix.v, columns, prefix.mask)

    def take(self, step: Step) -> Step:
        """Add a step's newest token, and return the step with all tokens as they are held."""
        n = step.length
        column = torch.tensor([n - 1], device=step.k.device)
        k, v = self._project(step.k[:, :, -1:], step.v[:, :, -1:], column, step.mask[:, :, -1:])
        self._k[:, :, n - 1 : n], self._v[:, :, n - 1 : n] = k, v
        return replace(step, k=self._k[:, :, :n], v=self._v[:, :, :n])

    def _project(self, k: Tensor, v: Tensor, columns: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Project K and V [B, H, N, D] of tokens in columns [N]; padding stays zero."""
        keys = self._weights.project_keys(k, self._rope, columns - self._first)
        padding = ~mask[..., None]
        return keys.masked_fill(padding, 0), self._weights.project_values(v).masked_fill(padding, 0)
