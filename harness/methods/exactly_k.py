"""Counts what methods keep and move that attend to k tokens and pay for nothing else, however they choose them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self, TypeVar

from harness.methods.contract import Method
from harness.methods.knob_types import Size, floor
from harness.methods.ratio import Budget, largest_knob

S = TypeVar("S")


@dataclass(frozen=True)
class ExactlyK(Method[S]):
    """Attends exactly to k tokens, the newest one of those that may be chosen."""

    k: Size

    def kept_tokens(self, n: int) -> int:
        """Keep k of n."""
        return min(self.k, n)

    def transfers(self, n: int, d: int) -> float:
        """Count 2kD + 2D: k rows of K and V read, one of each written."""
        return 2 * min(self.k, n) * d + 2 * d

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, which must leave room for the other knobs."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
