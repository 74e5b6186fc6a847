"""Drops the token that the newest query gives least attention, in every step: TOVA."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to, gather_mask, top_newest
from harness.attention.statistics import ReceivedFromLast, Statistic
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.eviction.h2o import Kept
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["TOVA"]


@dataclass(frozen=True)
class TOVA(Method[Kept]):
    """Keeps the k tokens with the largest weights of the last query, in every step; k + 1 are attended to.

    Weights are averaged over all query heads of the layer, whose KV heads drop the same tokens. Nothing is protected:
    neither the newest token nor the first ones; of equal ones the newest stays. The prompt's last query chooses first.
    Source: paper, section 3.2.
    """

    about: ClassVar[About] = About(
        title="TOVA",
        access="history",
        paper=Paper(
            title="Transformers are Multi-State RNNs",
            authors="Matanel Oren, Michael Hassid, Nir Yarden, Yossi Adi, Roy Schwartz",
            venue="EMNLP",
            year=2024,
            arxiv="2401.06104",
        ),
        note="after a dense prefill; published perplexities evict from the first token on",
    )
    observes: ClassVar[frozenset[Statistic]] = frozenset({ReceivedFromLast(1)})

    k: Size

    def start(self, prefix: LayerPrefix) -> Kept:
        """Keep every prompt token, scored by the prompt's last query; the first step drops all but k."""
        (statistic,) = self.observes
        score = prefix.statistics[statistic].mean((1, 2))[:, None]
        return Kept(torch.arange(score.shape[-1], device=score.device).expand(score.shape), score)

    def attend(self, step: Step, state: Kept) -> Tensor:
        """Drop what the last query liked least, admit the newest token, attend, and take the weights."""
        before = step.mask[..., : step.length - 1]
        score = state.score.masked_fill(~gather_mask(before, state.column), -torch.inf)
        state.keep(top_newest(score, self.k, state.column))
        state.admit(step.length - 1)
        output, weights = attend_to(step, state.column)
        state.score = weights.mean((1, 2))[:, None]
        return output

    def cost(self, at: LayerAt) -> Cost:
        """Count 2kD + 2D elements: the weights that choose are at hand, and k tokens are held when they have chosen."""
        kept = min(self.k, at.n)
        return Cost(attend=at.tokens(kept), write=at.newest, held=at.tokens(kept))

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
