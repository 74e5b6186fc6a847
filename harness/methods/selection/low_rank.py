"""Scores by a random projection in place of the largest channels: the SparQ paper's ablation."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step
from harness.attention.best import attend_and_reallocate
from harness.attention.index.grown import Grown
from harness.methods.about import About
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Count, Local, Size, layer_seed, quarter
from harness.methods.ratio import Budget, rank_and_tokens
from harness.methods.selection.sparq import SparQ

__all__ = ["LowRank"]


@dataclass
class Projected:
    """Holds basis [H, D, r], the keys projected onto it, and the running mean of V."""

    basis: Tensor
    keys: Grown
    mean: MeanValue | None


@dataclass(frozen=True)
class LowRank(Method[Projected]):
    """Approximates SparQ's logits by a random orthonormal projection D -> r, one per layer and KV head."""

    about: ClassVar[About] = About(title="Low rank", access="index", paper=SparQ.about.paper)

    r: Size
    k: Size = 128
    local: Local | None = None
    seed: Count = 0
    reallocate: bool = True

    @property
    def resolved(self) -> Self:
        """Return the method with the newest tokens that are always kept as a number."""
        return replace(self, local=quarter(self.k, self.local))

    def start(self, prefix: LayerPrefix) -> Projected:
        """Draw the projection and project the prompt's keys once."""
        _, h, _, d = prefix.k.shape
        generator = torch.Generator().manual_seed(layer_seed(self.seed, prefix.layer))
        draws = torch.randn(h, d, d, generator=generator, dtype=torch.float64)
        basis = torch.linalg.qr(draws).Q[:, :, : self.r].to(prefix.k)
        keys = Grown(prefix.k @ basis, prefix.decode_steps)
        return Projected(basis, keys, MeanValue(prefix) if self.reallocate else None)

    def attend(self, step: Step, state: Projected) -> Tensor:
        """Do steps 3 to 5 of SparQ on projected logits."""
        keys = state.keys.append((step.k[:, :, -1:] @ state.basis).squeeze(2))
        logits = step.scores(step.q @ state.basis, keys)
        mean = state.mean.update(step) if state.mean else None
        return attend_and_reallocate(step, logits, self.k, quarter(self.k, self.local), mean)

    def cost(self, at: LayerAt) -> Cost:
        """Count rN + 2kD + 2D elements as SparQ, r to store the newest projected key, 2D for the running mean of V."""
        r = min(self.r, at.head_dim)
        mean = at.keys(1) if self.reallocate else 0
        return Cost(
            choose=at.elements(r * at.n),
            attend=at.tokens(min(self.k, at.n)) + mean,
            write=at.newest + at.elements(r) + mean,
            held=at.cache + at.elements(r * at.n) + mean,
        )

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve r for a given k, or k at r = D/ratio."""
        return rank_and_tokens(cls, budget, **fixed)
