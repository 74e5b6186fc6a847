"""Notes which tokens the prompt's queries gave much, and which its last ones gave little: Scissorhands' history."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.utils.rnn import pad_sequence

from harness.attention.statistics.blocks import Block, LayerPrompt
from harness.attention.statistics.walk import Statistic


@dataclass(frozen=True)
class LastPivotal(Statistic):
    """Finds the time of the last live query in whose `count` largest weights each token was: [B, H, S].

    1 is a row's first query, 0 is never. Weights are averaged over the group; a token as heavy as the next one below
    does not count. `count` may be a share of a row's live tokens, see `pivotal_counts`.
    """

    count: int | float

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from tokens that no query gave much."""
        return prompt.full(*prompt.k.shape[:3])

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Stamp what the block's queries give much."""
        mean = block.weights.mean(2)
        counts = pivotal_counts(self.count, block.prompt.live.sum(-1))
        stamp = (mean > next_largest(mean, counts)) * (block.live * block.time)[:, None, :, None]
        last = so_far[..., : block.end]
        torch.maximum(last, stamp.amax(2).to(last.dtype), out=last)


@dataclass(frozen=True)
class BelowEven(Statistic):
    """Finds what the last `window` live queries gave less than an even share of what they see: [B, H, window, S] bool.

    Weights are averaged over the group. The oldest query is first; a row of fewer has queries that give nothing in
    front.
    """

    window: int

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from no query."""
        b, h, s, _ = prompt.k.shape
        return torch.zeros(b, h, self.window, s, dtype=torch.bool, device=prompt.k.device)

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Write those of the block's queries that are among the last."""
        place = self.window - 1 - block.prompt.time[:, -1:] + block.time  # of each query, from the oldest
        last = block.live & (place >= 0)
        if not last.any():
            return
        seen = (block.logits > -torch.inf).any(2)
        below = seen & (block.weights.mean(2) * seen.sum(-1, keepdim=True) < 1)
        row, query = last.nonzero(as_tuple=True)
        so_far[row, :, place[row, query], : block.end] = below[row, :, query]


def times_noted(prompt: Tensor, steps: list[Tensor], n: int) -> Tensor:
    """Count how many queries of a window noted each of n tokens, [B, H, n]: of steps, and of the prompt before them.

    prompt [B, H, window, S] bool has its last queries, the oldest first; steps has a [B, H, N] bool of each later query
    of the window, N growing.
    """
    counts = pad(prompt[:, :, len(steps) :].sum(2), (0, n - prompt.shape[3]))
    if not steps:
        return counts
    later = pad_sequence([step.permute(2, 0, 1) for step in steps]).sum(1).permute(1, 2, 0)
    return counts + pad(later, (0, n - later.shape[2]))


def pivotal_counts(count: int | float, tokens: Tensor) -> Tensor:
    """Return how many of a query's weights are large in each row, of so many tokens [B]: `count`, or a share of them.

    A share is rounded as the released quantile is, but is at least one token.
    """
    if isinstance(count, int):
        return torch.full_like(tokens, count)
    return (tokens - ((1 - count) * tokens.double()).long() - 1).clamp_min(1)


def next_largest(weights: Tensor, counts: Tensor) -> Tensor:
    """Return the weight below the counts [B] largest of weights [B, H, ..., N]: [B, H, ..., 1]; 0 if there is none."""
    n = weights.shape[-1]
    place = counts.view(-1, *[1] * (weights.dim() - 1)).expand(*weights.shape[:-1], 1)
    top = weights.topk(min(n, int(counts.max()) + 1)).values
    return top.gather(-1, place.clamp_max(top.shape[-1] - 1)).masked_fill(place >= n, 0)
