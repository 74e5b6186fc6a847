"""Quantises groups of numbers to few bits between their least and greatest, and reads the codes back."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.selection import gather_tokens

STORED = 16
"""Bits of a group's scale, and of its least number."""


def quantised(x: Tensor, bits: int, size: int, dim: int = -1) -> Tensor:
    """Read back x from codes of so many bits, in groups of `size` consecutive entries of a negative axis.

    code = round((x - lo) / s) of s = (hi - lo) / (2^bits - 1), half to even, read back as code s + lo. lo and s are
    kept in the dtype of x; a group of equal entries is read back as it is. `size` divides the axis. Source: KIVI, arXiv
    2402.02750, section 3.
    """
    most = (1 << bits) - 1
    groups: Tensor = x.unflatten(dim, (-1, size))  # type: ignore[no-untyped-call]
    accurate = groups.to(torch.promote_types(x.dtype, torch.float32))
    low, high = accurate.amin(dim, keepdim=True), accurate.amax(dim, keepdim=True)  # aminmax takes five times as long
    scale = ((high - low) / most).to(x.dtype).to(accurate.dtype)
    scale = scale.masked_fill(scale == 0, 1)
    codes = (accurate - low).div_(scale).round_().clamp_(0, most)
    return codes.mul_(scale).add_(low).to(x.dtype).flatten(dim - 1, dim)


def quantised_tokens(x: Tensor, first: Tensor, counts: Tensor, bits: int, size: int) -> Tensor:
    """Quantise the first `counts` [B] live tokens of each row of x [B, H, S, D], by channel, in groups of tokens.

    `first` [B] is the column of a row's first live token, from which groups count; counts are multiples of `size`. The
    other tokens stay as they are.
    """
    s = x.shape[2]
    column = torch.arange(s, device=x.device)
    aligned = _take(x, (first[:, None] + column).clamp_max(s - 1))
    aligned = torch.nn.functional.pad(aligned, (0, 0, 0, -s % size))
    token = column - first[:, None]
    back = _take(quantised(aligned, bits, size, -2), token.clamp_min(0))
    inside = (token >= 0) & (token < counts[:, None])
    return torch.where(inside[:, None, :, None], back, x)


def _take(x: Tensor, column: Tensor) -> Tensor:
    """Gather columns [B, S] of x [B, H, N, D]."""
    return gather_tokens(x, column[:, None].expand(-1, x.shape[1], -1))


def quantised_bits(numbers: float, bits: int, size: int) -> float:
    """Count the bits that so many numbers take: their codes, with a scale and a least number for each group."""
    return numbers * (bits + 2 * STORED / size)
