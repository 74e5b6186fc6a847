"""Chooses channels by their magnitude and takes them out of queries and keys, to score by them alone."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.step import Step


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


def logits_of_largest(step: Step, r: int) -> Tensor:
    """Compute logits [B, H, G, N] from the r largest channels of q, at a temperature that makes up for the others.

    Channels are chosen once per KV head, by |q| summed over the group. Source: SparQ, algorithm 1, steps 1 and 2.
    """
    magnitude = step.q.abs().to(torch.promote_types(step.q.dtype, torch.float32))
    channels = magnitude.sum(2).topk(min(r, step.q.shape[3])).indices[:, :, None]
    q = step.q.gather(3, channels.expand(-1, -1, step.q.shape[2], -1))
    k = step.k.gather(3, channels.expand(-1, -1, step.length, -1))
    covered = q.abs().to(magnitude.dtype).sum(3, keepdim=True) / magnitude.sum(3, keepdim=True)
    return step.scores((q / covered.nan_to_num(1).sqrt().clamp_min(1e-6)).to(q.dtype), k)
