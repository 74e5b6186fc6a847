"""Sums the attention that each prompt token receives: over all queries, those near it, or the last ones."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.draws import uniform
from harness.attention.scores import softmax
from harness.attention.statistics.blocks import Block, LayerPrompt
from harness.attention.statistics.walk import Statistic


@dataclass(frozen=True)
class AttentionReceived(Statistic):
    """Sums what each token receives of the weights over live queries, averaged over a group: [B, H, S] (H2O)."""

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from nothing."""
        return prompt.full(*prompt.k.shape[:3])

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Add what the block's queries give."""
        b, h, g, queries, n = block.weights.shape
        share = (block.live[:, None, None].to(so_far.dtype) / g).expand(b, h, g, queries).reshape(b, h, 1, -1)
        so_far[..., :n] += (share @ block.weights.view(b, h, g * queries, n)).squeeze(2)


@dataclass(frozen=True)
class ReceivedWithin(Statistic):
    """Sums what each token receives from live queries less than `window` positions later: [B, H, G, S] (InfLLM).

    Per query head, of weights from the softmax over all that the query sees. A token is at distance 0 of its own query.
    """

    window: int

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from nothing."""
        return prompt.full(*prompt.q.shape[:4])

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Add what the block's queries give to the tokens near them."""
        first = max(0, block.start - self.window + 1)  # older tokens are out of reach of the whole block
        column = torch.arange(first, block.end, device=so_far.device)
        near = column[block.start - first :, None] - column < self.window  # live tokens are side by side
        given = near & block.live[:, None, None, :, None]
        so_far[..., first : block.end] += (block.weights[..., first:] * given).sum(3)


@dataclass(frozen=True)
class ReceivedFromLast(Statistic):
    """Sums what each token receives from the last `count` live queries, or all if there are fewer: [B, H, G, S].

    Per query head, of weights from the softmax over all that a query sees (SnapKV; of a single query: TOVA).
    """

    count: int

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Compute the weights of the queries; no block is needed."""
        return given_by(prompt, *prompt.newest(self.count))


@dataclass(frozen=True)
class ReceivedFromProbes(Statistic):
    """Sums what each token receives from a share of the live queries, over a group: [B, H, S] (ZipCache).

    Half of the `share` are a row's last queries, as many are drawn of those before them, with replacement, by counting.
    """

    share: float
    seed: int = 0

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Compute the weights of the queries; no block is needed."""
        return given_by(prompt, *self.probes(prompt)).sum(2)

    def probes(self, prompt: LayerPrompt) -> tuple[Tensor, Tensor]:
        """Return the columns [B, C] of a row's probes, and which there are, a bool: rows have numbers of their own."""
        live = prompt.live.sum(-1, keepdim=True)
        earlier = (live * (1 - self.share / 2)).long()
        drawn = (live * (self.share / 2)).long()
        probe = torch.arange(int((live - earlier + drawn).max()), device=live.device)
        chance = uniform(self.seed, prompt.layer, probe)
        place = torch.where(probe < drawn, (chance * earlier).long(), earlier + probe - drawn)
        exists = probe < live - earlier + drawn
        first = prompt.live.int().argmax(-1, keepdim=True)
        return (first + place).where(exists, 0), exists


def given_by(prompt: LayerPrompt, column: Tensor, exists: Tensor) -> Tensor:
    """Sum what each token receives from the queries in columns [B, C] that exist, a bool as large: [B, H, G, S]."""
    token = torch.arange(prompt.live.shape[1], device=column.device)
    seen = (token <= column[..., None]) & prompt.live[:, None]
    if prompt.window_mask is not None:
        windows = prompt.window_mask[:, 0].expand(len(column), -1, -1)
        seen = seen & windows.gather(1, column[..., None].expand(-1, -1, windows.shape[2]))
    seen = (seen & exists[..., None])[:, None, None]
    queries = prompt.q.gather(3, column[:, None, None, :, None].expand(*prompt.q.shape[:3], -1, prompt.q.shape[4]))
    return softmax(prompt.scores(queries, prompt.k[:, :, None]), seen).sum(3)
