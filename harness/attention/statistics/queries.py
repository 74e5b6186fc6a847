"""Hands out what the prompt's queries are: the last ones, their squares, their products with the own key."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.attention.statistics.blocks import Block, LayerPrompt
from harness.attention.statistics.walk import Statistic


@dataclass(frozen=True)
class LastQueries(Statistic):
    """Hands out the last `count` live queries as attention sees them, oldest first: [B, H, G, count, D].

    A row of fewer live tokens has zeros in front.
    """

    count: int
    by_token: ClassVar[bool] = False

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Gather the queries; no block is needed."""
        column, exists = prompt.newest(self.count)
        b, h, g, _, d = prompt.q.shape
        queries = prompt.q.gather(3, column[:, None, None, :, None].expand(b, h, g, -1, d))
        return queries.to(prompt.dtype).masked_fill(~exists[:, None, None, :, None], 0)


@dataclass(frozen=True)
class QuerySquare(Statistic):
    """Averages the squares of the last `count` live queries, or of all if there are fewer: [B, H, G, D] (ThinK)."""

    count: int
    by_token: ClassVar[bool] = False

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Average over the last queries; no block is needed."""
        live = prompt.live.sum(-1).clamp(1, self.count)
        return LastQueries(self.count).begin(prompt).square().sum(3) / live[:, None, None, None]


@dataclass(frozen=True)
class QueryKeyMagnitude(Statistic):
    """Averages |q_c k_c| of a token with itself over the live tokens, summed over a group: [B, H, D].

    Double Sparsity's measure of a channel (qk), taken from the prompt itself.
    """

    by_token: ClassVar[bool] = False

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from nothing."""
        b, h, _, d = prompt.k.shape
        return prompt.full(b, h, d)

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Add the block's share of the mean."""
        product = (block.q.to(so_far.dtype) * block.k[:, :, None]).abs()
        total = product.masked_fill(~block.live[:, None, None, :, None], 0).sum((2, 3))
        so_far += total / block.prompt.live.sum(-1).clamp_min(1)[:, None, None]
