"""FlexGen's sparse attention (Sheng et al., ICML 2023, arXiv 2303.06865): all of K is read, V only where it matters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step, gather_mask, gather_tokens, top_newest
from harness.attention.scores import softmax
from harness.methods.checks import check_integers, check_switches
from harness.methods.contract import Method
from harness.methods.ratio import largest_knob

__all__ = ["FlexGen"]


@dataclass(frozen=True)
class FlexGen(Method[MeanValue | None]):
    """The k largest weights of the full softmax (summed over the group), without renormalisation.

    `reallocate` spreads the lost weight evenly over the dropped tokens; `before_softmax` renormalises over the kept,
    as if the others had been dropped before the softmax.
    """

    k: int
    reallocate: bool = False
    before_softmax: bool = False

    def __post_init__(self) -> None:
        check_integers(self, k=1)
        check_switches(self, "reallocate", "before_softmax")

    def start(self, prefix: LayerPrefix) -> MeanValue | None:
        """The running sum of V, if lost weight is spread."""
        return MeanValue(prefix) if self.reallocate else None

    def attend(self, step: Step, state: MeanValue | None) -> Tensor:
        """Weights from all of K, then the rows of V that carry the most."""
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
        """The lost weight [B, H, G, 1] times the mean V of the dropped tokens [B, H, 1, D]."""
        state.update(step)
        dropped = (step.mask.sum(-1) - kept.sum(-1))[..., None]
        total = state.total - values.masked_fill(~kept[..., None], 0).to(state.total.dtype).sum(2)
        mean = torch.where(dropped > 0, total / dropped.clamp_min(1), 0)
        return ((1 - weights.sum(3, keepdim=True)) * mean[:, :, None]).to(values.dtype)

    def transfers(self, n: int, d: int) -> float:
        """ND + kD + 2D, and 2D more for the running sum of V."""
        return n * d + min(self.k, n) * d + (4 if self.reallocate else 2) * d

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """Solve k; nothing above ratio 2 can be reached, for K is always read whole."""
        return largest_knob(cls, "k", (1, n), ratio, n, d, **fixed)
