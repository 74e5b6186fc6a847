"""Draws tokens at random from a range of columns, and says how many draws an estimate of a sum over it needs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Range:
    """Holds the columns of each row that are drawn from: `count` [B, 1, 1, 1] of them, from `first` [B, 1, 1, 1] on."""

    first: Tensor
    count: Tensor

    @classmethod
    def of(cls, others: Tensor) -> Range:
        """Return the range of others [B, 1, N] bool, which are neighbours: those from the first to the last that is."""
        columns = torch.arange(1, others.shape[-1] + 1, device=others.device)
        count = others.sum(-1)
        first = (others * columns).amax(-1) - count
        return cls(first[:, :, None, None], count[:, :, None, None])

    def columns(self, uniform: Tensor) -> Tensor:
        """Return the columns that numbers in [0, 1) draw, [..., J]; a row without any is given others' columns."""
        return self.first + (uniform.double() * self.count).long()


def drawn(columns: Tensor, amount: Tensor, n: int) -> Tensor:
    """Return which of n columns the first `amount` [B, H, G, 1] of columns [B, H, G, J] hold, [B, H, G, n] bool."""
    counts = torch.arange(columns.shape[-1], device=columns.device) < amount
    columns = torch.where(counts, columns, n)  # those beyond the amount mark a place that is cut off
    found = torch.zeros(*columns.shape[:3], n + 1, dtype=torch.bool, device=columns.device)
    return found.scatter_(3, columns, True)[..., :n]


def deviation(values: Tensor, columns: Tensor, amount: Tensor) -> Tensor:
    """Compute the sample deviation of values [B, H, G, N] at the first `amount` columns, repeated ones included."""
    counts = torch.arange(columns.shape[-1], device=columns.device) < amount
    found = values.gather(3, columns)
    mean = (found * counts).sum(-1, keepdim=True) / amount
    return (((found - mean) * counts).square().sum(-1, keepdim=True) / (amount - 1)).sqrt()
