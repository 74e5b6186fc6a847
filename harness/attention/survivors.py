"""Attends to the prompt tokens that an eviction has left, and to every newer token."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.selection import attend_own, gather_mask, gather_tokens, own_columns
from harness.attention.step import LayerPrefix, Step


class Survivors:
    """Holds the columns of the prompt tokens that are left, for good: of kept [B, H, G or 1, S] bool.

    A KV head holds the union of what its query heads keep, index [B, H, K], ragged counts filled up with dead columns;
    `own` [B, H, G or 1, K] bool says which of them are each query head's. Positions stay as they were.
    """

    def __init__(self, prefix: LayerPrefix, kept: Tensor) -> None:
        self.prompt = prefix.k.shape[2]
        self.index, self.own = own_columns(kept & prefix.visible[:, :, None])

    def columns(self, step: Step) -> tuple[Tensor, Tensor]:
        """Return what a step sees of them and of every newer token: columns [B, H, K'], own [B, H, G or 1, K']."""
        newer = torch.arange(self.prompt, step.length, device=self.index.device)
        index = torch.cat([self.index, newer.expand(*self.index.shape[:2], -1)], -1)
        own = torch.nn.functional.pad(self.own, (0, len(newer)), value=True)
        return index, own & gather_mask(step.mask, index)[:, :, None]

    def attend(self, step: Step) -> Tensor:
        """Attend exactly to what is left, each query head to its own: the output [B, H, G, D]."""
        index, own = self.columns(step)
        return attend_own(step, index, own, gather_tokens(step.k, index))
