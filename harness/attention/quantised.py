"""Quantises groups of numbers to few bits between their least and greatest, and reads the codes back."""

from __future__ import annotations

import torch
from torch import Tensor

STORED = 16
"""Bits of a group's scale, and of its least number."""


def quantised(x: Tensor, bits: int, size: int, dim: int = -1) -> Tensor:
    """Read back x from codes of so many bits, in groups of `size` consecutive entries of a negative axis."""
    codes, scale, low = codes_of(x, bits, size, dim)
    return codes.mul_(scale).add_(low).to(x.dtype).flatten(dim - 1, dim)


def codes_of(x: Tensor, bits: int, size: int, dim: int = -1) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes, scales and least numbers of groups of `size` consecutive entries of a negative axis.

    code = round((x - lo) / s) of s = (hi - lo) / (2^bits - 1), half to even, read back as code s + lo. lo and s are
    kept in the dtype of x; a group of equal entries is read back as it is. `size` divides the axis, which becomes two:
    codes [..., groups, size, ...], in at least float32, and the others with 1 in place of size. Source: KIVI, arXiv
    2402.02750, section 3.
    """
    most = (1 << bits) - 1
    groups: Tensor = x.unflatten(dim, (-1, size))  # type: ignore[no-untyped-call]
    accurate = groups.to(torch.promote_types(x.dtype, torch.float32))
    low, high = accurate.amin(dim, keepdim=True), accurate.amax(dim, keepdim=True)  # aminmax takes five times as long
    scale = ((high - low) / most).to(x.dtype)
    scale = scale.masked_fill(scale == 0, 1)
    codes = (accurate - low).div_(scale).round_().clamp_(0, most)
    return codes, scale, low.to(x.dtype)


def quantised_bits(numbers: float, bits: int, size: int) -> float:
    """Count the bits that so many numbers take: their codes, with a scale and a least number for each group."""
    return numbers * (bits + 2 * STORED / size)
