"""Evicts the least recently used token: the SparQ paper's alternative to H2O's sum of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from harness.attention import Step
from harness.attention.statistics import LastUsed, Statistic, used
from harness.methods.about import About
from harness.methods.eviction.h2o import H2O
from harness.methods.selection.sparq import SparQ

__all__ = ["LRU"]


@dataclass(frozen=True)
class LRU(H2O):
    """Evicts as H2O does, by another score: the time a token was last used, 1 for the first query, 0 for never.

    A token is used by a query that gives it at least the weight of an even spread over the tokens it looks at. One
    query uses many tokens, so ties are the rule here: `ties="newest"` keeps the newest, whatever the batch; "torch"
    takes the order that torch.topk happens to give over all N columns, which is what the authors' numbers contain and
    which padding can change.
    """

    about: ClassVar[About] = About(
        title="LRU",
        access="history",
        paper=SparQ.about.paper,
        note="ties=newest, the default, is not the published method, which ties=torch is (bits per character of "
        "WikiText on SmolLM2: 1.0209 against 1.0158)",
    )
    observes: ClassVar[frozenset[Statistic]] = frozenset({LastUsed()})

    ties: Literal["torch", "newest"] = "newest"

    def choose(self, score: Tensor, column: Tensor, n: int) -> Tensor:
        """Choose as H2O does, or by torch.topk over a row of all n columns in which the evicted are -inf."""
        if self.ties == "newest":
            return super().choose(score, column, n)
        b, h, kept = score.shape
        row = score.new_full((b, h, n), -torch.inf).scatter(2, column, score)
        position = column.new_zeros(b, h, n).scatter(
            2, column, torch.arange(kept, device=column.device).expand(b, h, -1)
        )
        return position.gather(2, row.topk(min(self.k + 1, n)).indices)

    def rescore(self, score: Tensor, weights: Tensor, step: Step) -> Tensor:
        """Stamp the tokens that this step used with its time."""
        now = step.mask.sum(-1, keepdim=True).to(score.dtype)
        return torch.where(used(weights), now, score)
