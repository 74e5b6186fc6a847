"""The SparQ paper's ablation: a random projection in place of the largest channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step
from harness.methods.checks import check_integers, check_switches
from harness.methods.contract import Method
from harness.methods.ratio import rank_and_tokens
from harness.methods.selection.sparq import attend_to_best

__all__ = ["LowRank"]


@dataclass
class Projected:
    """basis [H, D, r]; keys [B, H, S + decode_steps, r], the first `length` of them filled; the running mean of V."""

    basis: Tensor
    keys: Tensor
    length: int
    mean: MeanValue | None

    def append(self, key: Tensor) -> Tensor:
        """Project and store the newest key [B, H, D]; return all projected keys [B, H, N, r]."""
        self.keys[:, :, self.length] = (key[:, :, None] @ self.basis).squeeze(2)
        self.length += 1
        return self.keys[:, :, : self.length]


@dataclass(frozen=True)
class LowRank(Method[Projected]):
    """SparQ whose approximate logits come from a random orthonormal projection D -> r, one per layer and KV head."""

    r: int
    k: int = 128
    local: int | None = None
    seed: int = 0
    reallocate: bool = True

    def __post_init__(self) -> None:
        check_integers(self, r=1, k=1, local=0, seed=0)
        check_switches(self, "reallocate")

    def start(self, prefix: LayerPrefix) -> Projected:
        """Draw the projection and project the prompt's keys once."""
        b, h, s, d = prefix.k.shape
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + prefix.layer)
        draws = torch.randn(h, d, d, generator=generator, dtype=torch.float64)
        basis = torch.linalg.qr(draws).Q[:, :, : self.r].to(prefix.k)
        keys = prefix.k.new_zeros(b, h, s + prefix.decode_steps, basis.shape[2])
        keys[:, :, :s] = prefix.k @ basis
        return Projected(basis, keys, s, MeanValue(prefix) if self.reallocate else None)

    def attend(self, step: Step, state: Projected) -> Tensor:
        """Steps 3 to 5 of SparQ on projected logits."""
        logits = step.scores(step.q @ state.basis, state.append(step.k[:, :, -1]))
        mean = state.mean.update(step) if state.mean else None
        return attend_to_best(step, logits, self.k, self.k // 4 if self.local is None else self.local, mean)

    def transfers(self, n: int, d: int) -> float:
        """SparQ's: rN + 2kD + 2D, r to store the newest projected key, 2D for the running mean of V."""
        r = min(self.r, d)
        return r * n + 2 * min(self.k, n) * d + r + (4 if self.reallocate else 2) * d

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """Solve r for a given k, or k at r = D/ratio."""
        return rank_and_tokens(cls, ratio, n, d, **fixed)
