"""Counts what methods keep and move that attend to k tokens and pay for nothing else, however they choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeVar

from harness.attention import Step
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Size, floor
from harness.methods.ratio import Budget, largest_knob

S = TypeVar("S")


@dataclass(frozen=True)
class ExactlyK(Method[S]):
    """Attends exactly to k tokens, the newest one of those that may be chosen."""

    k: Size

    def kept(self, step: Step) -> int:
        """Count the tokens that are kept, in every step."""
        return self.k

    def cost(self, at: LayerAt) -> Cost:
        """Count k rows of K and V as read, one of each as written: 2kD + 2D elements. The cache stays whole."""
        return Cost(attend=at.tokens(min(self.k, at.n)), write=at.newest, held=at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, which must leave room for the other knobs."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
