"""Shares the budget of a layer unevenly among its heads, by where the votes are: Ada-KV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, are_best
from harness.attention.votes import before_window
from harness.methods.about import About, Paper
from harness.methods.cost import LayerAt
from harness.methods.knob_types import Fraction, Size
from harness.methods.pyramid import largest_k, share_of_layer
from harness.methods.ratio import Budget
from harness.methods.window_vote import WindowVote

__all__ = ["AdaKV"]

"""Holds the part of an even share of the budget that every head is sure of."""


@dataclass(frozen=True)
class AdaKV(WindowVote):
    """Keeps k prompt tokens per head on average, more where votes are spread out: those with the most votes of all.

    Every head is sure of the share `floor` of what an even split would give it. Heads are the KV heads, or with `group`
    "none" the query heads. `normalize` first scales a head's votes by the share that its best tokens hold, for the
    division among heads alone. `pyramid` gives lower layers more, as PyramidKV does with this `beta`.
    """

    about: ClassVar[About] = About(
        title="Ada-KV",
        access="history",
        paper=Paper(
            title="Ada-KV: Optimizing KV Cache Eviction by Adaptive Budget Allocation for Efficient LLM Inference",
            authors="Yuan Feng, Junlin Lv, Yukun Cao, Xike Xie, S. Kevin Zhou",
            venue="NeurIPS",
            year=2025,
            arxiv="2407.11550",
        ),
    )
    layered: ClassVar[bool] = True
    measured: ClassVar[bool] = True  # how the heads' shares are rounded depends on the data

    floor: Fraction = 0.2
    normalize: bool = False
    pyramid: bool = False
    beta: Size = 20

    def elects(self, prefix: LayerPrefix, votes: Tensor) -> Tensor:
        """Divide a layer's budget among its heads [B, H, G or 1], in float32 and rounded half to even as published."""
        tokens = before_window(prefix, self.window).sum((1, 2))
        budgets = [self.budget(of_row, prefix.layer, prefix.layers) for of_row in tokens.tolist()]
        budget, sure = (
            torch.tensor(of_rows, device=votes.device)[:, None, None]
            for of_rows in (budgets, [int(of_row * self.floor) for of_row in budgets])
        )
        shares = divided(scaled(votes, budget) if self.normalize else votes, budget)
        counts = (shares.to(torch.float32) * (1 - self.floor) + sure).round().long()
        tokens = tokens[:, None, None]
        return torch.where(budget > tokens, tokens, counts)

    def budget(self, tokens: int, layer: int, layers: int) -> int:
        """Count the winners beside the window that a head of the layer has on average, of so many candidates."""
        mean = self.k - self.window
        if not self.pyramid or mean > tokens:
            return mean
        return share_of_layer(mean, tokens, self.beta, layer, layers)

    def survivors(self, at: LayerAt) -> float:
        """Count the tokens that a KV head of the layer is left with on average, at most: half a token is rounded up."""
        mean = self.budget(at.prompt - self.window, at.layer, at.layers)
        sure = int(mean * self.floor)
        return self.left(at, mean * (1 - self.floor) + sure + (0.5 if 0 < self.floor < 1 else 0))

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, by what the layers keep at most."""
        return largest_k(cls, budget, **fixed)


def divided(votes: Tensor, budget: Tensor) -> Tensor:
    """Count for each head how many of its votes [B, H, G or 1, S] are among the best of all heads, [B, H, G or 1].

    As many are the best as the heads have `budget` [B, 1, 1] together. Exact ties go to the newest tokens of all heads.
    """
    b, h, g, s = votes.shape
    best = are_best(votes.permute(0, 3, 1, 2).flatten(1), budget.flatten() * h * g)
    return best.view(b, s, h, g).sum(1)


def scaled(votes: Tensor, budget: Tensor) -> Tensor:
    """Multiply a head's votes [B, H, G or 1, S] by the share of them that its best `budget` [B, 1, 1] tokens hold."""
    sums = votes.clamp_min(0).sort(-1, descending=True).values.cumsum(-1)
    last = (budget - 1).clamp(0, votes.shape[-1] - 1)[..., None].expand(*votes.shape[:3], 1)
    share = (sums.gather(-1, last) / sums[..., -1:]).nan_to_num(0)
    return torch.where(votes.isfinite(), votes * share, votes)
