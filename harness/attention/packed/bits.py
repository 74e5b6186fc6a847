"""Packs codes of few bits into bytes, and reads them back."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad


def room(bits: int) -> int:
    """Return the bits that a code of 1 to 8 takes in memory: 1, 2, 4 or 8, so that codes of 3 bits take 4."""
    return next(taken for taken in (1, 2, 4, 8) if taken >= bits)


def pack(codes: Tensor, bits: int) -> Tensor:
    """Pack codes [..., W] of 0 to 2^bits - 1 into uint8 [..., ceil(W room(bits) / 8)].

    A byte holds codes that lie a number of bytes apart, not neighbours: so packing and reading work on whole slices.
    """
    taken = room(bits)
    each = 8 // taken
    whole = pad(codes.to(torch.uint8), (0, -codes.shape[-1] % each))
    parts = whole.chunk(each, -1)
    packed = parts[0].clone()
    for i, part in enumerate(parts[1:], 1):
        packed |= part << (i * taken)
    return packed


def unpack(packed: Tensor, bits: int, width: int) -> Tensor:
    """Read back `width` codes from what `pack` made of them, uint8 [..., W]."""
    return unpack_into(packed, bits, packed.new_empty(*packed.shape[:-1], width))


def unpack_into(packed: Tensor, bits: int, out: Tensor) -> Tensor:
    """Read back codes into out [..., W] of any dtype; returns it."""
    taken, each = room(bits), packed.shape[-1]
    for i, shift in enumerate(range(0, 8, taken)):
        part = out[..., i * each : (i + 1) * each]
        part.copy_(((packed >> shift) & ((1 << taken) - 1))[..., : part.shape[-1]])
    return out
