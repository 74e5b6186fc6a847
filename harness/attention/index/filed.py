"""Files the tokens that leave a window in blocks, and knows each block by a few of its keys (InfLLM)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.selection import are_best, gather_tokens, top_newest
from harness.attention.step import LayerPrefix, Step
from harness.attention.unrotated import Unrotated


@dataclass(frozen=True)
class Filing:
    """Says how many tokens are sinks, in the window and in a block, and how many of a block stand for it."""

    sinks: int
    window: int
    block: int
    representatives: int

    def filed(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return how many sinks and blocks there are once so many tokens of a row are processed."""
        left = (tokens - self.window).clamp_min(0)
        sinks = left.clamp_max(self.sinks)
        return sinks, (left - sinks) // self.block


class Filed:
    """Holds what a layer knows of its blocks; which tokens they hold follows from each row's length.

    score: [B, H, G, S + T], the weights that tokens received from queries within the window, summed over queries.
    known_by: [B, H, G, W, D], for each query head the mean of the un-rotated keys of a block's best tokens.
    """

    def __init__(self, prefix: LayerPrefix, received: Tensor, sizes: Filing) -> None:
        b, h, g, s = received.shape
        total = s + prefix.decode_steps
        self.sizes, self.keys = sizes, Unrotated(prefix)
        self.score = received.new_zeros(b, h, g, total)
        self.score[..., :s] = received
        self.known_by = prefix.k.new_zeros(b, h, g, max(1, total // sizes.block), prefix.k.shape[3])
        blocks = torch.arange(max(1, s // sizes.block), device=received.device)
        self.known_by[:, :, :, : len(blocks)] = self._stand_for(blocks.expand(b, -1))

    def kept(self, step: Step, top: int) -> Tensor:
        """Return which tokens, [B, N] bool, are in the best `top` blocks or in none."""
        first, column = self.keys.first[:, 0], torch.arange(step.length, device=step.q.device)
        sinks, count = self.sizes.filed(step.length - 1 - first)
        position, block = column - first, self.sizes.block
        number = (position - self.sizes.sinks).clamp_min(0) // block
        filed = (position >= sinks) & (position < sinks + count * block)
        chosen = self._best(step, count, top).gather(1, number.clamp_max(self.known_by.shape[3] - 1))
        return step.mask[:, 0] & (chosen | ~filed)

    def receive(self, index: Tensor, weights: Tensor) -> None:
        """Add weights [B, H, G, K] to the scores of the tokens at index [B, H, K]."""
        self.score.scatter_add_(3, index[:, :, None].expand_as(weights), weights.to(self.score.dtype))

    def file(self, step: Step) -> None:
        """File the block of each row, one at most, that the newest token made the window leave."""
        length = step.length - self.keys.first[:, 0]
        before, after = (self.sizes.filed(tokens)[1] for tokens in (length - 1, length))
        rows = (after > before)[:, 0].nonzero()[:, 0]
        if len(rows):
            self.known_by[rows, :, :, before[rows, 0]] = self._stand_for(before)[rows, :, :, 0]

    def _best(self, step: Step, count: Tensor, top: int) -> Tensor:
        """Return which blocks, [B, W] bool, are best for all heads of a row together; those with a hidden token never.

        Of a row's `count` [B, 1] blocks. A block's value is the sum of q.k over the layer's query heads, the query at
        position window - 1.
        """
        far = self.keys.query(step, self.sizes.window - 1)
        value = (self.known_by @ far[..., None]).sum((1, 2))[..., 0]
        blocks = torch.arange(value.shape[1], device=value.device)
        oldest = self.keys.first[:, 0] + self.sizes.sinks + blocks * self.sizes.block
        exists = (blocks < count) & step.mask[:, 0].gather(1, oldest.clamp_max(step.length - 1))
        return exists & are_best(value.masked_fill(~exists, -torch.inf), top)

    def _stand_for(self, blocks: Tensor) -> Tensor:
        """Return what blocks [B, W] are known by, [B, H, G, W, D]; where one does not exist, anything."""
        b, h, g, _ = self.score.shape
        size, rows = self.sizes.block, self.keys.rows
        first = self.keys.first + self.sizes.sinks + blocks[:, :, None] * size
        column = (first + torch.arange(size, device=first.device)).flatten(1).clamp_max(rows.shape[2] - 1)
        keys = gather_tokens(rows, column[:, None].expand(-1, h, -1)).view(b, h, 1, -1, size, rows.shape[3])
        score = self.score.gather(3, column[:, None, None].expand(-1, h, g, -1)).view(b, h, g, -1, size)
        best = top_newest(score, self.sizes.representatives)[..., None].expand(-1, -1, -1, -1, -1, rows.shape[3])
        return keys.expand(-1, -1, g, -1, -1, -1).gather(4, best).mean(4)
