"""Measures how much each cached key repeats the others, in blocks: nothing of size N x N is held."""

from __future__ import annotations

import torch
from torch import Tensor

BLOCK = 128


def redundancy(keys: Tensor, valid: Tensor, threshold: float, spare_first: bool) -> Tensor:
    """Average each key's cosine with all valid keys, its own taken as 0: [B, H, N] of keys [B, H, N, D].

    Each of those that are averaged over spares one key, whose cosine with it counts 0: the newest that is more similar
    than `threshold`, or the first valid one if there is none or if that is to be spared always. What is not `valid`
    [B, H, N] has part in nothing, and gets 0. Computed in at least float32.
    """
    keys = keys.detach().to(torch.promote_types(keys.dtype, torch.float32))
    unit: Tensor = (keys / (keys.norm(dim=-1, keepdim=True) + 1e-8)).masked_fill(~valid[..., None], 0)
    first = valid.int().argmax(-1, keepdim=True)
    column, total = torch.arange(keys.shape[2], device=keys.device), unit.new_zeros(keys.shape[:3])
    for start in range(0, len(column), BLOCK):
        block = column[start : start + BLOCK]
        cosine = unit[:, :, block] @ unit.transpose(2, 3)
        cosine.masked_fill_(block[:, None] == column, 0)
        spared = first.expand(-1, -1, len(block))
        if not spare_first:
            similar = (cosine > threshold) & valid[:, :, None]
            newest = torch.where(similar, column, -1).amax(-1)
            spared = torch.where(newest < 0, spared, newest)
        total += cosine.scatter_(3, spared[..., None], 0).sum(2)
    return total / valid.sum(-1, keepdim=True)
