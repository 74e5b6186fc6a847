"""Reads the fewest tokens that hold a share p of the attention, as if choosing were free: a control."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_where, softmax
from harness.attention.mass import fewest
from harness.methods.about import About
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Share
from harness.methods.ratio import Budget, largest_share

__all__ = ["OracleTopP"]

BEYOND = (0.38, 9)
"""How the weight beyond the best tokens falls, as a plan assumes it: see `cost`."""


@dataclass(frozen=True)
class OracleTopP(Method[Meter]):
    """Attends exactly to the fewest tokens whose softmax weights, averaged over the group, sum to p.

    `per_query_head`: to the fewest whose weights sum to p in each query head, each to its own; their union over the
    group is read. Exact ties go to the newest token.
    """

    about: ClassVar[About] = About(title="Oracle top-p", access="keys")
    oracle: ClassVar[bool] = True
    measured: ClassVar[bool] = True  # how many tokens hold a share depends on the data

    p: Share
    per_query_head: bool = False

    def start(self, prefix: LayerPrefix) -> Meter:
        """Keep nothing but the meter."""
        return Meter()

    def attend(self, step: Step, state: Meter) -> Tensor:
        """Choose by all of K, pay for the chosen."""
        weights = softmax(step.scores(step.q, step.k), step.mask[:, :, None])
        kept = fewest(weights if self.per_query_head else weights.mean(2, keepdim=True), self.p) & step.mask[:, :, None]
        state.note((kept.any(2).sum(-1) + 1) * 2 * step.k.shape[3] * ELEMENT)
        return attend_where(step, kept)

    def meter(self, state: Meter) -> Meter:
        """Return the meter, which is the state."""
        return state

    def cost(self, at: LayerAt) -> Cost:
        """Count the tokens that hold p under a plan's assumption (ours) as read, one as written.

        The share that k of n tokens leave is taken as exp(0.38 - 9 sqrt(k/n)), alike in all heads: so it was, over all
        layers, on SmolLM2's prompts of SQuAD, of some 900 tokens.
        """
        share = (BEYOND[0] - math.log(max(1 - self.p, 1e-12))) / BEYOND[1]
        return Cost(attend=at.tokens(at.n * min(1, share**2)), write=at.newest, held=at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve p under the assumption of `cost`; tables show the ratio that was measured."""
        return largest_share(cls, "p", budget, **fixed)
