"""Finds the weight that as many tokens exceed as a budget has, for each query of the prompt."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention.statistics.blocks import Block, LayerPrompt
from harness.attention.statistics.walk import Statistic


@dataclass(frozen=True)
class LargestWeight(Statistic):
    """Finds the (k+1)-th largest weight of each live query and query head, by query: [B, H, G, S] (Top-Theta).

    Exactly k tokens lie above it, ties apart. `before_softmax` takes the logit instead. NaN at padding and where a
    query sees no more than k tokens. With `last`, the last so many live queries are looked at, and the others are NaN.
    """

    k: int
    before_softmax: bool = False
    last: int | None = None
    filler: ClassVar[float] = torch.nan

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from no query."""
        return prompt.full(*prompt.q.shape[:4], filler=self.filler)

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Write the block's queries."""
        wanted = self._wanted(block)
        if block.end <= self.k or not wanted.any():
            return
        top = block.logits.topk(self.k + 1)
        value, column = top.values[..., -1:], top.indices[..., -1:]
        found = value if self.before_softmax else block.weights.gather(-1, column)
        known = wanted[:, None, None] & (value[..., 0] > -torch.inf)
        so_far[..., block.start : block.end] = found[..., 0].masked_fill(~known, self.filler)

    def _wanted(self, block: Block) -> Tensor:
        """Return which of the block's queries are looked at, [B, Q] bool."""
        if self.last is None:
            return block.live
        return block.live & (block.time > block.prompt.time[:, -1:] - self.last)
