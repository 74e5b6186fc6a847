"""Chooses channels of K by their magnitude, and takes them out of queries and keys (Double Sparsity)."""

from __future__ import annotations

import torch
from torch import Tensor


def key_magnitude(k: Tensor) -> Tensor:
    """Sum |k_c| over the tokens of k [B, H, S, D], zero at padding: [B, H, 1, D] orders channels as their means do."""
    return k.abs().sum(2, keepdim=True, dtype=torch.promote_types(k.dtype, torch.float32))


def largest_channels(magnitude: Tensor, r: int) -> Tensor:
    """Return the r channels of the largest magnitude [..., D], in no order: [..., r]."""
    return magnitude.topk(min(r, magnitude.shape[-1]), sorted=False).indices


def take_channels(x: Tensor, channels: Tensor) -> Tensor:
    """Take channels [B or 1, H, C, r] out of x [B, H, C or 1, N, D]: [B, H, C, N, r].

    C is 1 where the query heads of a group share their channels, G where each has its own.
    """
    b, h, _, n, d = x.shape
    c, r = channels.shape[2:]
    return x.expand(b, h, c, n, d).gather(4, channels[:, :, :, None].expand(b, h, c, n, r))
