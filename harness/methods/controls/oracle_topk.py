"""Makes the best choice of k tokens that exact scores can make, as if choosing were free: a control."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to, top_newest
from harness.attention.scores import softmax
from harness.methods.about import About
from harness.methods.exactly_k import ExactlyK

__all__ = ["OracleTopK"]


@dataclass(frozen=True)
class OracleTopK(ExactlyK[None]):
    """Attends exactly to the k tokens with the largest softmax weight, summed over the group."""

    about: ClassVar[About] = About(title="Oracle top-k", access="keys")
    oracle: ClassVar[bool] = True

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state: the oracle needs no memory."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Choose by all of K, pay for the chosen."""
        weights = softmax(step.scores(step.q, step.k), step.mask[:, :, None])
        index = top_newest(weights.sum(2).masked_fill(~step.mask, -torch.inf), self.k)
        return attend_to(step, index)[0]
