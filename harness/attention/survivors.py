"""Attends to the prompt tokens that an eviction has left, and to every newer token."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.meter import Meter
from harness.attention.selection import attend_own, gather_mask, gather_tokens, own_columns
from harness.attention.step import LayerPrefix, Step


class Survivors:
    """Holds the columns of the prompt tokens that are left, for good: of kept [B, H, G or 1, S] bool.

    A KV head holds the union of what its query heads keep, index [B, H, K], ragged counts filled up with dead columns;
    `own` [B, H, G or 1, K] bool says which of them are each query head's. Positions stay as they were. Where a token's
    bits are given, `meter` counts what steps read of every KV head's own number of tokens, and write of the newest.
    """

    def __init__(self, prefix: LayerPrefix, kept: Tensor, bits_of_token: float | None = None) -> None:
        self.meter = None if bits_of_token is None else Meter()
        self._bits = bits_of_token or 0.0
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
        if self.meter is not None:
            self.meter.note((own.any(2).sum(-1) + 1) * self._bits)
        return attend_own(step, index, own, gather_tokens(step.k, index))
