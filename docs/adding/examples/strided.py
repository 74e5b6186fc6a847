"""Strided attention: k tokens at equal distances, the newest included. An example, no published technique."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, age, attend_to, top_newest
from harness.methods.about import About
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["Strided"]


@dataclass(frozen=True)
class Strided(Method[None]):
    """Keeps every n-th token, counted back from the newest; n is the smallest for which k tokens are enough."""

    about: ClassVar[About] = About(title="Strided", access="positions")

    k: Size

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state: the pattern depends on positions only."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Attend exactly to the pattern; where it has fewer than k tokens, the newest of the others join it."""
        tokens = step.mask.sum(-1, keepdim=True)
        stride = -(-tokens // self.k)
        chosen = (age(step.mask) % stride == 0).float().masked_fill(~step.mask, -torch.inf)
        return attend_to(step, top_newest(chosen, self.k))[0]  # one choice [B, 1, K] for all KV heads

    def cost(self, at: LayerAt) -> Cost:
        """Count k rows of K and V as read, one of each as written; the whole cache is held."""
        return Cost(attend=at.tokens(min(self.k, at.n)), write=at.newest, held=at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
