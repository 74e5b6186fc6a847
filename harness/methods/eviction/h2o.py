"""Evicts as H2O does, the heavy-hitter oracle, in the way the SparQ paper evaluates it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, age, attend_to, gather_mask, top_newest
from harness.attention.statistics import AttentionReceived, Statistic
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Local, Size, floor, quarter
from harness.methods.ratio import Budget, largest_knob

__all__ = ["H2O"]


@dataclass
class Kept:
    """Holds the columns that are still cached and their scores, both [B, H, K]."""

    column: Tensor
    score: Tensor

    def admit(self, column: int) -> None:
        """Add the newest token, which nobody has attended to yet."""
        shape = (*self.column.shape[:2], 1)
        self.column = torch.cat([self.column, self.column.new_full(shape, column)], -1)
        self.score = torch.cat([self.score, self.score.new_zeros(shape)], -1)

    def keep(self, index: Tensor) -> None:
        """Forget everything but index [B, H, K'] into the kept tokens."""
        self.column = self.column.gather(2, index)
        self.score = self.score.gather(2, index)


@dataclass(frozen=True)
class H2O(Method[Kept]):
    """Keeps the `local` newest tokens (default k/4) and those that received most attention, k + 1 in all."""

    about: ClassVar[About] = About(
        title="H2O",
        access="history",
        paper=Paper(
            title="H2O: Heavy-Hitter Oracle for Efficient Generative Inference of Large Language Models",
            authors="Zhenyu Zhang, Ying Sheng, Tianyi Zhou, Tianlong Chen, Lianmin Zheng, Ruisi Cai, Zhao Song, "
            "Yuandong Tian, Christopher Ré, Clark Barrett, Zhangyang Wang, Beidi Chen",
            venue="NeurIPS",
            year=2023,
            arxiv="2306.14048",
        ),
    )
    observes: ClassVar[frozenset[Statistic]] = frozenset({AttentionReceived()})

    k: Size
    local: Local | None = None

    @property
    def resolved(self) -> Self:
        """Return the method with the newest tokens that are always kept as a number."""
        return replace(self, local=quarter(self.k, self.local))

    def start(self, prefix: LayerPrefix) -> Kept:
        """Keep every prompt token, scored by the prompt's own queries."""
        b, h, s, _ = prefix.k.shape
        (statistic,) = self.observes
        return Kept(torch.arange(s, device=prefix.k.device).expand(b, h, s), prefix.statistics[statistic])

    def attend(self, step: Step, state: Kept) -> Tensor:
        """Admit the newest token, evict down to k + 1 for good, attend to what is left, score it."""
        state.admit(step.length - 1)
        mask = gather_mask(step.mask, state.column)
        ages = age(step.mask).expand(-1, mask.shape[1], -1).gather(2, state.column)
        recent = ages <= quarter(self.k, self.local)
        score = state.score.masked_fill(recent, torch.inf).masked_fill(~mask, -torch.inf)
        state.keep(self.choose(score, state.column, step.length))
        output, weights = attend_to(step, state.column)
        state.score = self.rescore(state.score, weights, step)
        return output

    def choose(self, score: Tensor, column: Tensor, n: int) -> Tensor:
        """Choose k + 1 of the kept tokens to go on with: indices into score and column, both [B, H, K]."""
        return top_newest(score, self.k + 1, column)

    def rescore(self, score: Tensor, weights: Tensor, step: Step) -> Tensor:
        """Add the step's weights [B, H, G, K], averaged over the group, to the score [B, H, K]."""
        return score + weights.mean(2)

    def cost(self, at: LayerAt) -> Cost:
        """Count 2kD + 2D elements for K and V, 2N + 1 for the scores; what is kept is held, with its scores."""
        kept = min(self.k + 1, at.n)
        return Cost(
            choose=at.elements(at.n),
            attend=at.tokens(min(self.k, at.n)),
            write=at.newest + at.elements(at.n + 1),
            held=at.tokens(kept) + at.elements(kept),
        )

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
