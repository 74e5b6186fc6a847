"""Chooses tokens, gathers them, attends exactly to them, and averages V for the others: what the methods share."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from harness.attention.scores import softmax
from harness.attention.step import LayerPrefix, Step


def age(mask: Tensor) -> Tensor:
    """Count the live tokens that are newer than each token, [..., N]; the newest live token has age 0."""
    count = mask.cumsum(-1)
    return count[..., -1:] - count


def ends(mask: Tensor, first: int, last: int | Tensor) -> Tensor:
    """Return the `first` and the `last` live tokens of mask [..., N]: sinks and the newest, which many methods keep."""
    return mask & ((mask.cumsum(-1) <= first) | (age(mask) < last))


def top_newest(scores: Tensor, count: int, column: Tensor | None = None, best_first: bool = False) -> Tensor:
    """Return the indices of the `count` highest scores along the last axis; exact ties go to the newest token.

    Scores are ranked as float32. `column` ([..., N], default 0..N-1) is the age order of the entries. Indices come in
    no order unless they are to come `best_first`.
    Score and column are packed into one integer, so no tie is left to the device's sort.
    """
    bits = (scores.to(torch.float32) + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    if column is None:
        column = torch.arange(scores.shape[-1], device=scores.device)
    key = (ordered.long() << 32) | column
    return key.topk(min(count, scores.shape[-1]), sorted=best_first).indices


def are_best(scores: Tensor, count: int | Tensor) -> Tensor:
    """Return which entries are the `count` highest scores along the last axis, as bool; exact ties go to the newest.

    A tensor counts for each row of scores [..., N]: [...], or broadcast to it.
    """
    if isinstance(count, int):
        return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, top_newest(scores, count), True)
    index = top_newest(scores, int(count.max()), best_first=True)
    chosen = torch.arange(index.shape[-1], device=index.device) < count[..., None]
    return torch.zeros_like(scores, dtype=torch.bool).scatter(-1, index, chosen.expand(index.shape))


def gather_tokens(x: Tensor, index: Tensor) -> Tensor:
    """Gather the rows [B, H, K, D] of x [B, H, N, D] at index [B, H or 1, K].

    x is seen as one list of rows, of which index_select copies each whole: on a CPU five times as fast as indexing
    three axes.
    """
    b, h, n, d = x.shape
    unit = math.gcd(*x.stride()[:3]) or 1
    per_batch, per_head, per_token = (stride // unit for stride in x.stride()[:3])
    count = (b - 1) * per_batch + (h - 1) * per_head + (n - 1) * per_token + 1
    rows = x.as_strided((count, d), (unit, x.stride(3)))
    batch, head = (torch.arange(size, device=x.device) for size in (b, h))
    first = (batch[:, None] * per_batch + head * per_head)[:, :, None]
    return rows.index_select(0, (first + index * per_token).flatten()).view(b, h, -1, d)


def gather_mask(mask: Tensor, index: Tensor) -> Tensor:
    """Gather mask [B, 1, N] at index [B, H or 1, K] into a mask of its shape."""
    return mask.expand(-1, index.shape[1], -1).gather(2, index)


def attend_to(step: Step, index: Tensor, live: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Attend exactly to the tokens at index [B, H or 1, K], of which those count where `live`, as large, is True.

    Returns the output [B, H, G, D] and the weights [B, H, G, K].
    """
    mask = gather_mask(step.mask, index)
    if live is not None:
        mask = mask & live
    logits = step.scores(step.q, gather_tokens(step.k, index))
    weights = softmax(logits, mask[:, :, None])
    return weights.to(step.v.dtype) @ gather_tokens(step.v, index), weights


def attend_where(step: Step, kept: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attend exactly, each query head to its own tokens: kept [B, H, G or 1, N] bool, ragged counts allowed.

    What is read is the union over the group of each KV head. `bias`, of the same shape or broadcast to it, is added to
    the logits. Returns the output [B, H, G, D]; a query head that keeps nothing gives zeros.
    """
    index, own = own_columns(kept & step.mask[:, :, None])
    if bias is not None:
        bias = bias.expand(*kept.shape[:2], bias.shape[2], kept.shape[3])
        bias = bias.gather(3, index[:, :, None].expand(-1, -1, bias.shape[2], -1))
    return attend_own(step, index, own, gather_tokens(step.k, index), bias)


def attend_own(step: Step, index: Tensor, own: Tensor, k: Tensor, bias: Tensor | None = None) -> Tensor:
    """Attend exactly to the tokens at index [B, H or 1, K] with keys k [B, H, K, D], each query head to its `own`.

    own [B, H or 1, G or 1, K] bool and `bias`, added to the logits, are as `attend_where` has them of all tokens.
    Returns the output [B, H, G, D]; zeros where a query head has none.
    """
    logits = step.scores(step.q, k)
    if bias is not None:
        logits = logits + bias
    weights = softmax(logits, own)
    return weights.to(step.v.dtype) @ gather_tokens(step.v, index)


def own_columns(kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the columns that the query heads of a group keep together, and which of them are each one's own.

    Of kept [B, H, G or 1, N] bool: index [B, H, K] as `columns_of` gives it, own [B, H, G or 1, K].
    """
    index, live = columns_of(kept.any(2))
    return index, kept.gather(3, index[:, :, None].expand(-1, -1, kept.shape[2], -1)) & live[:, :, None]


def columns_of(kept: Tensor) -> tuple[Tensor, Tensor]:
    """Return the columns that kept [B, H, N] holds, oldest first: index and live [B, H, K], K the most of any head.

    A head that keeps fewer is filled up with its newest column, dead.
    """
    place = kept.cumsum(-1)
    counts = place[..., -1:]
    most = max(int(counts.max()), 1)
    columns = torch.arange(kept.shape[-1], device=kept.device)
    newest = torch.where(kept, columns, 0).amax(-1, keepdim=True)
    # a column that is not kept is written behind the last place, which is then cut off
    index = newest.repeat(1, 1, most + 1).scatter_(2, torch.where(kept, place - 1, most), columns.expand_as(kept))
    return index[..., :most], torch.arange(most, device=kept.device) < counts


class MeanValue:
    """Keeps the mean of all live V as a running sum, so that a step reads one row of V, not N.

    Held in at least float32 (SparQ paper, section 4.2). A token that a sliding window drops is taken out again.
    """

    def __init__(self, prefix: LayerPrefix) -> None:
        self._mask = prefix.mask
        live_v = prefix.v.masked_fill(~prefix.mask[..., None], 0)
        self.total = live_v.sum(2, dtype=torch.promote_types(live_v.dtype, torch.float32))

    def add(self, newest: Tensor) -> None:
        """Add the newest token's V [B, H, D] where the sum lies, which a CUDA graph can repeat."""
        self.total += newest

    def update(self, step: Step) -> Tensor:
        """Add the step's newest token and return the mean, [B, H, D]."""
        self.total = self.total + step.newest_v
        if step.sliding:
            departed = self._mask & ~step.mask[..., :-1]
            self.total = self.total - (step.v[:, :, :-1] * departed[..., None]).sum(2, dtype=self.total.dtype)
        self._mask = step.mask
        return self.total / step.mask.sum(-1, keepdim=True)
