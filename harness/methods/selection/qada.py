"""Computes QAdA: reads near tokens only, unless a Gaussian guess says that the far ones matter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_where, columns_of, ends, gather_tokens
from harness.attention.index.moments import Moments
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt, dense_cost
from harness.methods.knob_types import Count, Is, Size
from harness.methods.ratio import Budget, largest_share

__all__ = ["QAdA"]


@dataclass
class Far:
    """Holds the moments of a layer's far keys, and which rows of the prompt had any [B, 1, 1]."""

    moments: Moments
    any: Tensor
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class QAdA(Method[Far]):
    """Attends to the first `sinks` and the last `window` tokens where they hold `threshold` of the mass, else to all.

    The mass of the far tokens is guessed from mean and covariance of their keys, as if the keys were normal: those of
    the prompt, frozen, or (`moments` running) those of the step's far tokens. The criterion oracle takes their true
    mass, and pays for reading their keys. A KV head stays near if all its query heads do (`group` any, ours), or each
    query head decides for itself (none); what is read is the same. A row without far tokens in its prompt is dense.
    Written from summaries of the paper, whose text and code were not at hand: window, sinks and threshold have values
    of ours, and that a head is local from the threshold on is recalled. A soft-cap is not seen by the guess (ours).
    """

    about: ClassVar[About] = About(
        title="QAdA",
        access="index",
        note="written from summaries of the paper",
        paper=Paper(
            title="Unveiling Simplicities of Attention: Adaptive Long-Context Head Identification",
            authors="Konstantin Donhauser, Charles Arnal, Mohammad Pezeshki, Vivien Cabannes, David Lopez-Paz, "
            "Kartik Ahuja",
            year=2025,
            arxiv="2502.09647",
        ),
    )
    measured: ClassVar[bool] = True  # whether far tokens are read depends on the data
    excused: ClassVar[Mapping[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "moments of the prompt are frozen",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "moments of the prompt are frozen",
    }

    threshold: Annotated[float, Is("a number of at least 0", lambda value: value >= 0)]
    window: Size = 128
    sinks: Count = 16
    moments: Literal["prompt", "running"] = "prompt"
    criterion: Literal["gaussian", "oracle"] = "gaussian"
    group: Literal["any", "none"] = "any"

    def start(self, prefix: LayerPrefix) -> Far:
        """Take the moments of the prompt's far keys."""
        far = prefix.mask & ~self._near(prefix.mask)
        return Far(Moments.of(prefix.k, far), far.any(-1, keepdim=True))

    def attend(self, step: Step, state: Far) -> Tensor:
        """Guess, decide, and attend to what is near or to all."""
        near = self._near(step.mask)
        far = step.mask & ~near
        entered = state.moments.follow(step.k, far) if self.moments == "running" else torch.zeros_like(far.sum(-1))
        local = self.shares(step, state) >= self.threshold
        local &= state.any & far.any(-1, keepdim=True)
        if self.group == "any":
            local = local.all(2, keepdim=True)
        state.meter.note(self._moved(step, near, local.all(2), entered, state.any[..., 0]))
        return attend_where(step, near[:, :, None] | ~local[..., None])

    def shares(self, step: Step, state: Far) -> Tensor:
        """Guess the share of the softmax that near tokens hold, [B, H, G] in float64."""
        near = self._near(step.mask)
        far = step.mask & ~near
        if self.criterion == "oracle":
            return (self._log_mass(step, near) - self._log_mass(step, far)).sigmoid()
        guess = state.moments.log_mass(step.q.double() * step.scores.scale, far.sum(-1, keepdim=True))
        return (self._log_mass(step, near) - guess).sigmoid()

    def _near(self, mask: Tensor) -> Tensor:
        """Return the first and the last tokens of mask [B, 1, N]."""
        return ends(mask, self.sinks, self.window)

    def _log_mass(self, step: Step, tokens: Tensor) -> Tensor:
        """Compute the log of the sum of exp(logit) over some tokens [B, 1, N], [B, H, G]."""
        index, live = columns_of(tokens)
        logits = step.scores(step.q, gather_tokens(step.k, index)).double()
        return logits.masked_fill(~live[:, :, None], -torch.inf).logsumexp(-1)

    def _moved(self, step: Step, near: Tensor, local: Tensor, entered: Tensor, guessed: Tensor) -> Tensor:
        """Count the bits of a step, [B, H], of rows that are `guessed` or dense [B, 1], as `cost` does."""
        d, count, of_near = step.k.shape[3], step.mask.sum(-1), near.sum(-1)
        rows = torch.where(local, of_near, count)
        choose = (count - of_near) * local * d if self.criterion == "oracle" else moments_of(d)
        follow = entered * d + moments_of(d) if self.moments == "running" else 0
        return (2 * d * (rows + 1) + guessed * (choose + follow)) * ELEMENT

    def meter(self, state: Far) -> Meter:
        """Return the meter of the layer."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Count moments, and near or all tokens: as if a share 1 - threshold of the heads' steps stayed near (ours).

        Keys of near tokens, read to choose, are not read again to attend. Running moments read each key that becomes
        far, and are written. The criterion oracle reads far keys in place of moments.
        """
        near, d = self.sinks + self.window, at.head_dim
        if at.prompt <= near:
            return dense_cost(at)
        local, guess = max(0.0, 1 - self.threshold), at.elements(moments_of(d))
        running = self.moments == "running"
        choose = at.keys(at.n - near) * local if self.criterion == "oracle" else guess
        return Cost(
            choose=choose + at.keys(1) * running,
            attend=at.tokens(near) * local + at.cache * (1 - min(1.0, local)),
            write=at.newest + guess * running,
            held=at.cache + guess,
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the moments, which are held in float64 and whole."""
        return 4 * at.head_dim * (at.head_dim + 1)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve the threshold under the assumption of `cost`; tables of runs show the ratio that was measured."""
        return largest_share(cls, "threshold", budget, **fixed)


def moments_of(d: int) -> int:
    """Count the elements of a mean and of a covariance, which is symmetric."""
    return d + d * (d + 1) // 2
