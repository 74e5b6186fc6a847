"""Evicts as H2O does, the heavy-hitter oracle, in the way the SparQ paper evaluates it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Rope, Step, age, attend_to, gather_mask, top_newest
from harness.attention.moved import attend_moved, closing_up
from harness.attention.statistics import AttentionReceived, Statistic
from harness.attention.unrotated import rope_of
from harness.methods.about import About, Paper
from harness.methods.contract import Method, Need
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Local, Positions, Size, floor, quarter
from harness.methods.ratio import Budget, largest_knob

__all__ = ["H2O"]


@dataclass
class Kept:
    """Holds the columns that are still cached and their scores, both [B, H or 1, K].

    rope: the layer's rotary embedding, where it is needed; columns are then kept in their order.
    """

    column: Tensor
    score: Tensor
    rope: Rope | None = None

    def admit(self, column: int) -> None:
        """Add the newest token, which nobody has attended to yet."""
        shape = (*self.column.shape[:2], 1)
        self.column = torch.cat([self.column, self.column.new_full(shape, column)], -1)
        self.score = torch.cat([self.score, self.score.new_zeros(shape)], -1)

    def keep(self, index: Tensor) -> None:
        """Forget everything but index [B, H, K'] into the kept tokens."""
        if self.rope is not None:
            index = index.sort(-1).values
        self.column = self.column.gather(2, index)
        self.score = self.score.gather(2, index)


def attend_kept(step: Step, state: Kept) -> tuple[Tensor, Tensor]:
    """Attend to what is cached, where it is or, with a rotary embedding, side by side: output and weights."""
    if state.rope is None:
        return attend_to(step, state.column)
    return attend_moved(step, state.rope, state.column, closing_up(step, state.column))


@dataclass(frozen=True)
class H2O(Method[Kept]):
    """Keeps the `local` newest tokens (default k/4) and those that received most attention, k + 1 in all.

    local="half", k/2, is the published split into recent and heavy tokens. With positions="cache", the authors' rolling
    form, a step sees the tokens that are left as if no others had been between them. (Their form that masks a whole
    cache is not offered: a token that leaves its window of recent tokens is hidden for one step. Beside their numbers
    by it, a k less by one is the nearest.) Source: paper, section 4, and FMInference/H2O.
    """

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
        note="local=k/4, the default, as SparQ's authors evaluate it; the published split is local=half",
    )
    observes: ClassVar[frozenset[Statistic]] = frozenset({AttentionReceived()})

    k: Size
    local: Local | Literal["half"] | None = None
    positions: Positions = "absolute"

    @property
    def recent(self) -> int:
        """Count the tokens besides the newest that are always kept."""
        return self.k // 2 if self.local == "half" else quarter(self.k, self.local)

    @property
    def resolved(self) -> Self:
        """Return the method with the newest tokens that are always kept as a number."""
        return replace(self, local=self.recent)

    @property
    def needs(self) -> frozenset[Need]:
        """Return "rope" where tokens are seen elsewhere than they are."""
        return frozenset({"rope"} if self.positions == "cache" else ())

    def start(self, prefix: LayerPrefix) -> Kept:
        """Keep every prompt token, scored by the prompt's own queries."""
        b, h, s, _ = prefix.k.shape
        (statistic,) = self.observes
        column = torch.arange(s, device=prefix.k.device).expand(b, h, s)
        return Kept(column, prefix.statistics[statistic], rope_of(prefix) if self.needs else None)

    def attend(self, step: Step, state: Kept) -> Tensor:
        """Admit the newest token, evict down to k + 1 for good, attend to what is left, score it."""
        state.admit(step.length - 1)
        mask = gather_mask(step.mask, state.column)
        ages = age(step.mask).expand(-1, mask.shape[1], -1).gather(2, state.column)
        recent = ages <= self.recent
        score = state.score.masked_fill(recent, torch.inf).masked_fill(~mask, -torch.inf)
        state.keep(self.choose(score, state.column, step.length))
        output, weights = attend_kept(step, state)
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
