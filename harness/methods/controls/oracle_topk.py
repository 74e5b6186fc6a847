"""Makes the best choice of k tokens that exact scores can make, as if choosing were free: a control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.attention import LayerPrefix, Step, softmax
from harness.methods.about import About
from harness.methods.best_tokens import BestTokens
from harness.methods.exactly_k import ExactlyK

__all__ = ["OracleTopK"]


@dataclass(frozen=True)
class OracleTopK(ExactlyK[None], BestTokens[None]):
    """Attends exactly to the k tokens with the largest softmax weight, summed over the group."""

    about: ClassVar[About] = About(title="Oracle top-k", access="keys")
    oracle: ClassVar[bool] = True

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state: the oracle needs no memory."""

    def scores(self, step: Step, state: None) -> Tensor:
        """Weigh all of K, for which `cost` asks nothing."""
        return softmax(step.scores(step.q, step.k), step.mask[:, :, None])
