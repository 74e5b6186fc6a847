"""Computes vAttention: attends to sure tokens, and to a random sample of the others that is large enough."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, are_best, attend_where, ends, uniform
from harness.attention.sampling import Range, deviation, drawn
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Is, Positive
from harness.methods.ratio import Budget, largest_knob

__all__ = ["VAttention"]

Open = Annotated[float, Is("a number between 0 and 1", lambda value: 0 < value < 1)]
Base = Annotated[
    int | float,
    Is("a number of draws, or a share of at most 1 (1.0: all)", lambda x: x >= 0 and (isinstance(x, int) or x <= 1)),
]


@dataclass
class Sampler:
    """Holds a layer's number and how many steps it has decoded, from which its draws follow."""

    layer: int
    step: int = 0
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class VAttention(Method[Sampler]):
    """Attends to `sinks`, the last `local`, the k best of the others, and a sample of them, by query head.

    A first sample of `base` draws estimates the softmax's denominator and its deviation, from which follows how many
    draws make its error less than `epsilon` of it with probability 1 - `delta`. Each token that is then drawn has
    weight range / draws, sure ones 1. Draws are with replacement but count once, so that the estimate is biased where
    they are many, and not dense when they are as many as the range. base 0 samples nothing. Query heads of a group
    share their draws (ours: the authors' are independent), though not how many they use.
    The k best are those by exact logits, the released example's stand-in for a trained selector. Published: sinks 128,
    local 128, k a tenth of the tokens, base .1, epsilon and delta .05 to .3. Not Microsoft's memory manager.
    """

    about: ClassVar[About] = About(
        title="vAttention",
        access="keys",
        note="its heavy tokens, and the scale of the estimates, are an oracle's, for which nothing is charged; query "
        "heads of a group share their draws, where the authors' are independent",
        paper=Paper(
            title="vAttention: Verified Sparse Attention",
            authors="Aditya Desai, Kumar Krishna Agrawal, Shuo Yang, Alejandro Cuadron, Luis Gaspar Schroeder, "
            "Matei Zaharia, Joseph E. Gonzalez, Ion Stoica",
            year=2025,
            arxiv="2510.05688",
        ),
    )
    oracle: ClassVar[bool] = True
    measured: ClassVar[bool] = True  # how many tokens are drawn depends on the data

    k: Count
    sinks: Count = 128
    local: Count = 128
    base: Base = 0.1
    epsilon: Positive = 0.25
    delta: Open = 0.25
    seed: Count = 0

    def start(self, prefix: LayerPrefix) -> Sampler:
        """Start to count steps."""
        return Sampler(prefix.layer)

    def draws(self, step: Step, state: Sampler) -> tuple[Tensor, Tensor]:
        """Draw numbers in [0, 1) for the first and the second sample, each [1, H, 1, N]."""
        head = torch.arange(step.k.shape[1], device=step.q.device).view(1, -1, 1, 1)
        draw = torch.arange(step.length, device=step.q.device)
        first, second = (uniform(self.seed, state.layer, head, state.step, sample, draw) for sample in (0, 1))
        return first, second

    def attend(self, step: Step, state: Sampler) -> Tensor:
        """Attend with each token's weight divided by how likely it was to be read."""
        state.step += 1
        chances = self.chances(step, state)
        return attend_where(step, chances > 0, -chances.log())

    def chances(self, step: Step, state: Sampler) -> Tensor:
        """Choose by all of K: how likely each token was to be read, [B, H, G, N]; 0 for those that are not."""
        logits = step.scores(step.q, step.k).to(torch.promote_types(step.q.dtype, torch.float32))
        logits = logits.masked_fill(~step.mask[:, :, None], -torch.inf)
        others = step.mask & ~ends(step.mask, self.sinks, self.local)
        sure, within = self._sure(step.mask, logits, others), Range.of(others)
        if not self.base:
            state.meter.note(self._moved(step, sure, torch.zeros_like(sure)))
            return sure.to(logits.dtype)
        first, second = (within.columns(of).expand(*logits.shape[:3], -1) for of in self.draws(step, state))
        base, mass = self._base(within.count), (logits - logits.amax(-1, keepdim=True)).exp()
        looked = drawn(first, base, step.length) & others[:, :, None]
        size = self._size(mass, sure, looked, deviation(mass, first, base), base, within.count)
        chosen = drawn(second, size, step.length) & others[:, :, None]
        state.meter.note(self._moved(step, sure | chosen, looked))
        return torch.where(sure, 1, chosen * (size.to(mass.dtype) / within.count.clamp_min(1)))

    def _sure(self, mask: Tensor, logits: Tensor, others: Tensor) -> Tensor:
        """Return the tokens that are read for sure, [B, H, G, N]: all where fewer than two are left to draw from."""
        others = others[:, :, None]
        heavy = are_best(logits.masked_fill(~others, -torch.inf), self.k)
        return mask[:, :, None] & (heavy | ~others | (others.sum(-1, keepdim=True) < 2))

    def _base(self, count: Tensor) -> Tensor:
        """Count the draws of the first sample, [B, 1, 1, 1]: two at least, and no more than there are tokens."""
        share = isinstance(self.base, float)
        draws = (count.double() * self.base).long() if share else torch.full_like(count, int(self.base))
        return draws.minimum(count).clamp_min(2)

    def _size(self, mass: Tensor, sure: Tensor, looked: Tensor, spread: Tensor, base: Tensor, count: Tensor) -> Tensor:
        """Count the draws that keep the denominator's error within bounds, [B, H, G, 1]."""
        denominator = (mass * sure).sum(-1, keepdim=True) + (mass * looked).sum(-1, keepdim=True) * count / base
        quantile = NormalDist().inv_cdf(1 - self.delta)
        wanted = (quantile * spread.clamp_min(1e-8) * count / (self.epsilon * denominator)).square()
        return wanted.clamp_min(1).minimum(count.to(wanted.dtype)).long().maximum(base).minimum(count)

    def _moved(self, step: Step, kept: Tensor, looked: Tensor) -> Tensor:
        """Count the bits of a step, [B, H]: keys of the first sample, rows of all that is kept, one written."""
        rows, keys = kept.any(2).sum(-1) + 1, looked.any(2).sum(-1)
        return (2 * rows + keys) * step.k.shape[3] * ELEMENT

    def meter(self, state: Sampler) -> Meter:
        """Return the meter of the layer."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Count the sure tokens and a second sample as small as it can be, which is a floor.

        The first sample's keys are read to choose; a token that is drawn twice counts once. The heads of a group are
        taken to choose sqrt(G) times k between them, as they roughly do on SmolLM2 (ours).
        """
        count = max(0, at.n - self.sinks - self.local)
        draws = min(count, max(2, int(self.base * count) if isinstance(self.base, float) else self.base))
        distinct = count * (1 - (1 - 1 / count) ** draws) if count > 1 and self.base else 0
        others = count if count < 2 else min(count, math.sqrt(at.group) * self.k + distinct)
        return Cost(choose=at.keys(distinct), attend=at.tokens(at.n - count + others), write=at.newest, held=at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k by the floor of `cost`. Short prompts ask for fewer `sinks` and `local`, and a smaller `base`."""
        return largest_knob(cls, "k", (0, budget.tokens), budget, **fixed)
