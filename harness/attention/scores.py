"""How an architecture turns queries and keys into attention logits and weights."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Scores:
    """Attention logits of an architecture: q.k times `scale`, then soft-capped to +-`cap` (Gemma 2)."""

    scale: float
    cap: float | None = None

    def __call__(self, q: Tensor, k: Tensor) -> Tensor:
        """q [..., Q, D] against k [..., N, D] -> [..., Q, N]."""
        logits = (q * self.scale) @ k.transpose(-1, -2)
        return logits if self.cap is None else self.cap * torch.tanh(logits / self.cap)


def softmax(logits: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last axis in at least float32, exactly zero where `mask` (broadcast) is False."""
    accurate = logits.to(torch.promote_types(logits.dtype, torch.float32))
    return accurate.masked_fill(~mask, -torch.inf).softmax(-1).masked_fill(~mask, 0)
