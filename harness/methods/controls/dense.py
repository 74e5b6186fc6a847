"""Reads every cached token: dense attention, the baseline of every comparison."""

from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from harness.attention import LayerPrefix, Step
from harness.attention.scores import softmax
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
        """Make one fused call; write it out where the architecture caps its logits, which SDPA cannot."""
        if step.scores.cap is None:
            mask = step.mask[:, :, None]
            return scaled_dot_product_attention(step.q, step.k, step.v, mask, scale=step.scores.scale)
        weights = softmax(step.scores(step.q, step.k), step.mask[:, :, None])
        return weights.to(step.v.dtype) @ step.v

    def cost(self, at: LayerAt) -> Cost:
        """Count all of K and V as read, one token of each as written: 2ND + 2D elements."""
        return dense_cost(at)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Return dense attention at ratio 1. Raises InputError at any other."""
        if budget.ratio != 1:
            raise InputError("dense attention is ratio 1")
        return cls()
