"""Reads every cached token: dense attention, the baseline of every comparison."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to_all
from harness.errors import InputError
from harness.methods.about import About
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt, dense_cost
from harness.methods.ratio import Budget

__all__ = ["Dense"]


@dataclass(frozen=True)
class Dense(Method[None]):
    """Computes softmax(qK'/sqrt(D)) V over all live tokens."""

    about: ClassVar[About] = About(title="Dense", access="all")
    is_dense: ClassVar[bool] = True

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Attend to all that is seen."""
        return attend_to_all(step)

    def cost(self, at: LayerAt) -> Cost:
        """Count all of K and V as read, one token of each as written: 2ND + 2D elements."""
        return dense_cost(at)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Return dense attention at ratio 1. Raises InputError at any other."""
        if budget.ratio != 1:
            raise InputError("dense attention is ratio 1")
        return cls()
