"""Strided attention: k tokens at equal distances, the newest included. An example, no published technique."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, age, attend_to, top_newest
from harness.methods.about import About
from harness.methods.contract import Method
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
        index = top_newest(chosen, self.k)
        return attend_to(step, index.expand(-1, step.k.shape[1], -1))[0]

    def kept_tokens(self, n: int) -> int:
        """Keep k of n."""
        return min(self.k, n)

    def transfers(self, n: int, d: int) -> float:
        """Count 2kD + 2D: k rows of K and V read, one of each written."""
        return 2 * min(self.k, n) * d + 2 * d

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
