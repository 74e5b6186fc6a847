"""Holds what the kernels of a step leave for each other about the softmax over all tokens."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class SparseQuery:
    """Holds a query with zeros at all but some channels, whose products with keys are approximate logits.

    masked [B, H, G, D]; temperature [B, H, G] float32 turns products into logits.
    """

    masked: Tensor
    temperature: Tensor


@dataclass(frozen=True)
class SoftmaxMass:
    """Holds what the softmax over all live tokens divides by, in partial results of P programs per KV head.

    peak and total [B, H, P, G] float32 are the largest logit and the sum of exp(logit - peak). The logits are those of
    `approximate` if that is given, else the exact ones. kept [B, H, 1, G]: the same sum over the kept tokens, if known.
    """

    peak: Tensor
    total: Tensor
    approximate: SparseQuery | None = None
    kept: Tensor | None = None

    @classmethod
    def empty(
        cls, q: Tensor, programs: int, approximate: SparseQuery | None = None, knows_kept: bool = False
    ) -> SoftmaxMass:
        """Allocate the mass for a query [B, H, G, D], for kernels to write."""
        b, h, group, _ = q.shape
        peak, total, kept = torch.empty(3, b, h, programs, group, dtype=torch.float32, device=q.device)
        return cls(peak, total, approximate, kept if knows_kept else None)
