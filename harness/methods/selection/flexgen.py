"""Reads all of K, and V only where it matters: FlexGen's sparse attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step, gather_mask, gather_tokens, top_newest
from harness.attention.scores import softmax
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["FlexGen"]


@dataclass(frozen=True)
class FlexGen(Method[MeanValue | None]):
    """Uses the k largest weights of the full softmax (summed over the group), without renormalisation.

    `reallocate` spreads the lost weight evenly over the dropped tokens; `before_softmax` renormalises over the kept,
    as if the others had been dropped before the softmax.
    """

    about: ClassVar[About] = About(
        title="FlexGen",
        access="keys",
        paper=Paper(
            title="FlexGen: High-Throughput Generative Inference of Large Language Models with a Single GPU",
            authors="Ying Sheng, Lianmin Zheng, Binhang Yuan, Zhuohan Li, Max Ryabinin, Beidi Chen, Percy Liang, "
            "Christopher Ré, Ion Stoica, Ce Zhang",
            venue="ICML",
            year=2023,
            arxiv="2303.06865",
        ),
    )

    k: Size
    reallocate: bool = False
    before_softmax: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reallocate and self.before_softmax:
            raise InputError("FlexGen loses no weight under before_softmax that reallocate could spread: set one")

    def start(self, prefix: LayerPrefix) -> MeanValue | None:
        """Start the running sum of V, if lost weight is spread."""
        return MeanValue(prefix) if self.reallocate else None

    def attend(self, step: Step, state: MeanValue | None) -> Tensor:
        """Weigh all of K, then read the rows of V that carry the most."""
        weights = softmax(step.scores(step.q, step.k), step.mask[:, :, None])
        index = top_newest(weights.sum(2).masked_fill(~step.mask, -torch.inf), self.k)
        kept = gather_mask(step.mask, index)
        weights = weights.gather(3, index[:, :, None].expand(-1, -1, weights.shape[2], -1))
        if self.before_softmax:
            weights = weights / weights.sum(3, keepdim=True)
        values = gather_tokens(step.v, index)
        output = weights.to(values.dtype) @ values
        return output + self._spread(weights, values, kept, step, state) if state else output

    def _spread(self, weights: Tensor, values: Tensor, kept: Tensor, step: Step, state: MeanValue) -> Tensor:
        """Multiply the lost weight [B, H, G, 1] by the mean V of the dropped tokens [B, H, 1, D]."""
        state.update(step)
        dropped = (step.mask.sum(-1) - kept.sum(-1))[..., None]
        total = state.total - values.masked_fill(~kept[..., None], 0).to(state.total.dtype).sum(2)
        mean = torch.where(dropped > 0, total / dropped.clamp_min(1), 0)
        return ((1 - weights.sum(3, keepdim=True)) * mean[:, :, None]).to(values.dtype)

    def cost(self, at: LayerAt) -> Cost:
        """Count ND + kD + 2D elements, and 2D more for the running sum of V, which is held besides."""
        mean = at.keys(1) if self.reallocate else 0
        attend = at.keys(min(self.k, at.n)) + mean
        return Cost(choose=at.keys(at.n), attend=attend, write=at.newest + mean, held=at.cache + mean)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k; nothing above ratio 2 can be reached, for K is always read whole."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
