"""Quantises groups of numbers to few bits between their least and greatest."""

from __future__ import annotations

import torch
from torch import Tensor

STORED = 16
"""Bits of a group's scale, and of its least number."""


def codes_of(x: Tensor, bits: int, size: int, dim: int = -1) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes, scales and least numbers of groups of `size` consecutive entries of a negative axis.

    `size` divides the axis, which becomes two: codes [..., groups, size, ...], and the others with 1 in place of size.
    """
    return codes_over(x.unflatten(dim, (-1, size)), bits, (dim,))  # type: ignore[no-untyped-call]


def codes_over(x: Tensor, bits: int, over: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes of x in at least float32, with the scales and least numbers that entries over some axes share.

    code = round((x - lo) / s) of s = (hi - lo) / (2^bits - 1), half to even, read back as code s + lo. lo and s are
    kept in the dtype of x; equal entries are read back as they are. Source: KIVI, arXiv 2402.02750, section 3.
    """
    most = (1 << bits) - 1
    accurate = x.to(torch.promote_types(x.dtype, torch.float32))
    low, high = accurate.amin(over, keepdim=True), accurate.amax(over, keepdim=True)  # aminmax takes five times as long
    scale = ((high - low) / most).to(x.dtype)
    scale = scale.masked_fill(scale == 0, 1)
    codes = (accurate - low).div_(scale).round_().clamp_(0, most)
    return codes, scale, low.to(x.dtype)


def quantised_bits(numbers: float, bits: int, size: int) -> float:
    """Count the bits that so many numbers take: their codes, with a scale and a least number for each group."""
    return numbers * (bits + 2 * STORED / size)
