"""Lets the end of a prompt vote for earlier tokens, smooths the votes along the sequence, and keeps the winners."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import avg_pool1d, max_pool1d

from harness.attention.selection import age, are_best
from harness.attention.step import LayerPrefix

Pooling = Literal["max", "avg"]
Group = Literal["mean", "max", "none"]
"""Says how the query heads of a group vote: together, by the mean or the largest, or each for itself."""


def pooled(scores: Tensor, among: Tensor, kernel: int, pooling: Pooling) -> Tensor:
    """Pool scores [B, H, G, N] over `kernel` neighbours, stride 1, of the tokens `among` [B, 1, N] alone.

    A mean divides by `kernel` at the borders too, where it counts zeros; a maximum ignores what is outside. Tokens that
    are not `among` get -inf.
    """
    outside = ~among[:, :, None]
    filled = scores.masked_fill(outside, -torch.inf if pooling == "max" else 0).flatten(0, 2)[:, None]
    pool = max_pool1d if pooling == "max" else avg_pool1d
    return pool(filled, kernel, 1, kernel // 2)[:, 0].view(scores.shape).masked_fill(outside, -torch.inf)


def together(scores: Tensor, group: Group) -> Tensor:
    """Reduce scores [B, H, G, N] over the group: [B, H, 1, N], or as they are where query heads choose alone."""
    if group == "none":
        return scores
    return scores.mean(2, keepdim=True) if group == "mean" else scores.amax(2, keepdim=True)


def before_window(prefix: LayerPrefix, window: int) -> Tensor:
    """Return the visible tokens that are older than the last `window`, [B, 1, S] bool: those that are voted for."""
    return prefix.visible & (age(prefix.mask) >= window)


def elected(prefix: LayerPrefix, votes: Tensor, counts: int | Tensor, window: int) -> Tensor:
    """Return the tokens with the most votes [B, H, G or 1, S], -inf where there is no candidate, and the window.

    `counts`, a number or a tensor broadcast to [B, H, G or 1], are of winners; exact ties go to the newest. A bool of
    the shape of the votes.
    """
    won = are_best(votes, counts) & before_window(prefix, window)[:, :, None]
    return won | (age(prefix.mask) < window)[:, :, None]
