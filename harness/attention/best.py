"""Keeps the tokens with the best scores and attends exactly to them: the second half of most selection methods."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.scores import softmax
from harness.attention.selection import age, attend_to, attend_where, top_newest
from harness.attention.step import Step

Counted = int | Tensor
"""How many tokens are kept: in all rows, or [B] by row."""


def attend_to_best(step: Step, scores: Tensor, count: Counted, per_query_head: bool = False) -> Tensor:
    """Attend exactly to the `count` live tokens with the highest scores [B, H, G or 1, N]; output [B, H, G, D].

    A KV head makes one choice, by its scores summed over the group, or each query head its own: then the union over the
    group is read. Exact ties go to the newest token.
    """
    if not per_query_head:
        return attend_to(step, *best_of(scores.sum(2).masked_fill(~step.mask, -torch.inf), count))[0]
    scores = scores.masked_fill(~step.mask[:, :, None], -torch.inf)
    index, live = best_of(scores, count)
    kept = torch.zeros_like(scores, dtype=torch.bool)
    return attend_where(step, kept.scatter(3, index, True) if live is None else kept.scatter(3, index, live))


def attend_and_reallocate(step: Step, logits: Tensor, k: int, local: int, mean: Tensor | None) -> Tensor:
    """Do steps 3 to 5 of SparQ: keep the best k + 1 tokens by approximate logits [B, H, G, N], attend, mix with mean V.

    Logits are summed over the group to choose; the `local` newest and the newest itself are always kept. With `mean`
    [B, H, D], the approximate mass of what was dropped goes to it.
    """
    best = logits.sum(2).masked_fill(~step.mask, -torch.inf)
    best = best.masked_fill(step.mask & (age(step.mask) <= local), torch.inf)
    index = top_newest(best, k + 1)
    output, _ = attend_to(step, index)
    if mean is None:
        return output
    mass = softmax(logits, step.mask[:, :, None])
    kept = mass.gather(3, index[:, :, None].expand(-1, -1, logits.shape[2], -1)).sum(3, keepdim=True)
    return (kept * output + (1 - kept) * mean[:, :, None]).to(output.dtype)


def best_of(scores: Tensor, count: Counted) -> tuple[Tensor, Tensor | None]:
    """Find the `count` highest scores of each row along the last axis; exact ties go to the newest.

    Returns their indices [B, ..., K] and, where rows keep different numbers of them, which count: a bool of that shape.
    """
    if isinstance(count, int):
        return top_newest(scores, count), None
    index = top_newest(scores, int(count.max()), best_first=True)
    place = torch.arange(index.shape[-1], device=index.device)
    return index, (place < count.view(-1, *[1] * (index.dim() - 1))).expand_as(index)
