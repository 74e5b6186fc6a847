"""Hashes vectors by the sides of random planes on which they lie, and counts in how many tables two agree."""

from __future__ import annotations

import torch
from torch import Tensor

CHUNK = 16
"""Tables that are hashed at once, so that projections of a long prompt take little memory."""
COUNTED = 128
"""Tables that are compared at once: a count of matches among them fits a byte."""


def codes(x: Tensor, planes: Tensor, bits: int) -> Tensor:
    """Hash x [B, H, N, D] in tables of so many planes each: int16 codes [B, H, tables, N].

    Column l * bits + i of planes [H, D, tables * bits] gives bit i of table l: 1 where the product is above 0.
    """
    powers = 2 ** torch.arange(bits, dtype=torch.int16, device=x.device)[:, None]
    columns = x.transpose(2, 3).contiguous()
    return torch.cat(
        [
            ((some @ columns > 0).view(*x.shape[:2], -1, bits, x.shape[2]) * powers).sum(3, dtype=torch.int16)
            for some in torch.split(planes.transpose(1, 2), CHUNK * bits, 1)
        ],
        2,
    )


def matches(queries: Tensor, keys: Tensor) -> Tensor:
    """Count the tables in which codes of queries [B, H, L, G] and of keys [B, H, L, N] agree: int16 [B, H, G, N]."""
    count = torch.zeros(*keys.shape[:2], queries.shape[3], keys.shape[3], dtype=torch.int16, device=keys.device)
    for of_queries, of_keys in zip(torch.split(queries, COUNTED, 2), torch.split(keys, COUNTED, 2), strict=True):
        equal = of_queries.transpose(2, 3)[..., None] == of_keys[:, :, None]
        count += equal.view(torch.uint8).sum(3, dtype=torch.uint8)
    return count


def match_probability(cosine: Tensor, bits: int) -> Tensor:
    """Compute how likely two vectors of a cosine agree in a table of so many planes: (1 - angle / pi)^bits."""
    return (1 - cosine.clamp(-1, 1).acos() / torch.pi) ** bits


def twice_probability(match: Tensor, tables: int) -> Tensor:
    """Compute how likely vectors agree in two tables or more, if `match` is how likely they do in one.

    Cancels badly for small probabilities: hand over float64.
    """
    return 1 - (1 - match) ** tables - tables * match * (1 - match) ** (tables - 1)
