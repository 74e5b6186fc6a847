"""Notes when each prompt token was last used, as an LRU cache would."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.statistics.blocks import Block, LayerPrompt
from harness.attention.statistics.walk import Statistic


@dataclass(frozen=True)
class LastUsed(Statistic):
    """Finds the time of the last live query that used each token, 1 for a row's first, 0 for never: [B, H, S]."""

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from tokens that nobody used."""
        return prompt.full(*prompt.k.shape[:3])

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Stamp what the block's queries use."""
        stamp = used(block.weights) * (block.live * block.time)[:, None, :, None]
        last = so_far[..., : block.end]
        torch.maximum(last, stamp.amax(2).to(last.dtype), out=last)


def used(weights: Tensor) -> Tensor:
    """Return which tokens an LRU cache calls used: group-mean weight of at least 1 / (tokens above 1e-9).

    weights [B, H, G, ..., N] -> [B, H, ..., N] bool.
    """
    mean = weights.mean(2)
    return mean * (mean > 1e-9).sum(-1, keepdim=True) >= 1
