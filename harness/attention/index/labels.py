"""Quantises each row of keys between its own least and largest entry, and reads the codes back: labels and estimates.

Rows are rounded half to even in at least float32, and read back in the dtype that they came in; a row of equal entries,
such as padding, is read back as it is. 16 bits stand for exact rows.
"""

from __future__ import annotations

import torch
from torch import Tensor

EXACT = 16
"""Bits of an entry that is not quantised."""


def quantised_label(x: Tensor, bits: int) -> Tensor:
    """Read back x [..., r] from codes of so many bits, as Double Sparsity's labels (arXiv 2408.07092, accuracy code).

    code = round((x - lo) n / range) of n = 2^bits - 1, read back as code range / n + lo; a range of 0 counts as 1.
    """
    if bits >= EXACT:
        return x
    codes, low, width = label_codes(x, bits)
    return (codes * width / ((1 << bits) - 1) + low).to(x.dtype)


def label_codes(x: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the codes of a label x [..., r], and each row's least entry and range [..., 1], all as floats."""
    low, width = _extent(x)
    width = width.masked_fill(width == 0, 1)
    most = (1 << bits) - 1
    return ((_accurate(x) - low) * most / width).round().clamp(0, most), low, width


def quantised_key(x: Tensor, bits: int) -> Tensor:
    """Read back x [..., D] from codes of so many bits, as Twilight's estimator (arXiv 2502.02770, released code).

    code = round((x - lo) / step) of step = max(hi - lo, 1e-9) / (2^bits - 1), read back as code step + lo.
    """
    if bits >= EXACT:
        return x
    low, width = _extent(x)
    most = (1 << bits) - 1
    step = width.clamp_min(1e-9) / most
    codes = ((_accurate(x) - low) / step).round().clamp(0, most)
    return (codes * step + low).to(x.dtype)


def label_bits(width: int, bits: int) -> float:
    """Count the bits that one row of `width` codes takes: with its least entry and its range, unless it is exact."""
    return width * bits + (0 if bits >= EXACT else 2 * EXACT)


def _extent(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the least entry of each row and its range, [..., 1]."""
    low, high = _accurate(x).aminmax(dim=-1, keepdim=True)
    return low, high - low


def _accurate(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
