"""Finds the values between which most entries lie."""

from __future__ import annotations

import torch
from torch import Tensor


def ends(x: Tensor, live: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Return the quantiles fraction / 2 and 1 - fraction / 2 of the live entries of x [..., M], as [...].

    Between two entries lies their linear interpolation; `live` is broadcastable to x, and some entry is live. Fraction
    0 gives the least and the greatest entry.
    """
    last = (live.sum(-1) - 1).expand(x.shape[:-1])
    place = fraction / 2 * last.double()
    count = min(int(place.max()) + 2, x.shape[-1])
    lower, upper = (_at(of.masked_fill(~live, -torch.inf).topk(count).values, place, last) for of in (-x, x))
    return -lower, upper


def _at(falling: Tensor, place: Tensor, last: Tensor) -> Tensor:
    """Interpolate between the values [..., K], of which those behind `last` do not count, at a place in their order."""
    above = place.long()
    pair = torch.stack((above, torch.minimum(above + 1, last)), -1)
    a, b = falling.gather(-1, pair).unbind(-1)
    return a + (place - above).to(a.dtype) * (b - a)
