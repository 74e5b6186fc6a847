"""Computes logits and weights as an architecture scores keys by queries."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Computes the attention logits of an architecture: q.k times `scale`, then soft-capped to +-`cap` (Gemma 2)."""

    scale: float
    cap: float | None = None

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        """Compute logits [..., Q, N] of q [..., Q, D] against k [..., N, D]."""
        return self.capped((q * self.scale) @ k.transpose(-1, -2))

    def capped(self, logits: Tensor) -> Tensor:
        """Soft-cap logits that are scaled already."""
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Compute the softmax over the last axis in at least float32, exactly zero where `mask` (broadcast) is False."""
    accurate = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return accurate.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)
