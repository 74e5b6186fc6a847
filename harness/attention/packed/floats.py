"""Encodes numbers as floats of 8 and of 4 bits: E4M3, and E2M1 in blocks with a scale each."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention.packed.bits import pack
from harness.attention.packed.held import Format, Held

MOST_E4M3 = 448.0
"""Largest number of E4M3 (4 bits of exponent, 3 of mantissa, no infinity)."""
MOST_E2M1 = 6.0
"""Largest number of E2M1 (2 bits of exponent, 1 of mantissa)."""
HALF_E4M3 = 2.0**8
HALF_E2M1 = 2.0**14
"""By how much numbers are larger than those of float16 with the same bits at the ends of exponent and mantissa."""
BLOCK = 16
"""Channels of a block of NVFP4."""


def as_e4m3(x: Tensor) -> Tensor:
    """Round to the nearest number of E4M3, ties to even; what is larger becomes the largest."""
    return x.to(torch.float32).clamp(-MOST_E4M3, MOST_E4M3).to(torch.float8_e4m3fn)


def as_e2m1(x: Tensor) -> Tensor:
    """Return the codes, 0 to 15, of the nearest numbers of E2M1, ties to an even mantissa; larger ones become +-6."""
    size = x.abs().clamp_max_(MOST_E2M1)
    # steps of 1/2 up to 2, of 1 up to 4, of 2 up to 6, whose counts go on from each other as the codes do
    codes = torch.where(size < 2, (2 * size).round(), torch.where(size < 4, size.round() + 2, (size / 2).round() + 4))
    return codes.to(torch.uint8) | (x < 0).to(torch.uint8) << 3


@dataclass(frozen=True)
class E4M3(Format):
    """Encodes numbers, divided by a scale that a row's tokens share, as floats of 8 bits.

    `scale` [B, 1, 1, 1] is float32 or better. What is beyond 448 scales is read back as 448.
    """

    scale: Tensor

    def encode(self, x: Tensor) -> Held:
        """Return the floats, as bytes [B, H, n, D]."""
        return (as_e4m3(x / self.scale).view(torch.uint8),)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D], in the dtype of the scale."""
        out = torch.empty(held[0].shape, dtype=self.scale.dtype, device=self.scale.device)
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back into out [B, H, n, D], which any dtype of the cache holds exactly before it is scaled."""
        out.copy_(halves_of_e4m3(held[0])).mul_(self.scale * HALF_E4M3)


@dataclass(frozen=True)
class NVFP4(Format):
    """Encodes blocks of 16 consecutive channels as floats of 4 bits, each block with an E4M3 scale of its own.

    A number is read back as code times the block's scale times `scale` [B, 1, 1, 1], a row's own, of at least float32.
    The last block of a head dimension that 16 does not divide is shorter.
    """

    scale: Tensor
    width: int

    def encode(self, x: Tensor) -> Held:
        """Return codes [B, H, n, W] and the scales of blocks, as bytes [B, H, n, blocks]."""
        blocks: Tensor = pad(x / self.scale, (0, -self.width % BLOCK)).unflatten(-1, (-1, BLOCK))  # type: ignore[no-untyped-call]
        scales = as_e4m3(blocks.abs().amax(-1) / MOST_E2M1)
        divisor = scales.to(blocks.dtype)[..., None]
        codes = as_e2m1(blocks / divisor.masked_fill(divisor == 0, 1)).flatten(-2)
        return pack(codes, 4), scales.view(torch.uint8)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D], in the dtype of the outer scale."""
        out = torch.empty(*held[0].shape[:-1], self.width, dtype=self.scale.dtype, device=self.scale.device)
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back into out [B, H, n, D], which any dtype of the cache holds exactly before it is scaled."""
        codes, scales = held
        first, whole = codes.shape[-1], self.width // BLOCK
        out[..., :first] = halves_of_e2m1(codes & 15)[..., : self.width]
        out[..., first:] = halves_of_e2m1(codes >> 4)[..., : max(0, self.width - first)]
        by_block = halves_of_e4m3(scales).to(self.scale.dtype).mul_(self.scale * (HALF_E4M3 * HALF_E2M1))
        blocks: Tensor = out[..., : whole * BLOCK].unflatten(-1, (whole, BLOCK))  # type: ignore[no-untyped-call]
        blocks.mul_(by_block[..., :whole, None])
        out[..., whole * BLOCK :].mul_(by_block[..., whole:])


def halves_of_e4m3(codes: Tensor) -> Tensor:
    """Return the numbers that bytes stand for over 2^8, as float16, without a conversion, which a CPU is slow at.

    float16 has one bit of exponent more, whose bias is 8 larger, and seven more of mantissa.
    """
    wide = codes.to(torch.int16)
    sign = (wide & 0x80).bitwise_left_shift_(8)
    return wide.bitwise_and_(0x7F).bitwise_left_shift_(7).bitwise_or_(sign).view(torch.float16)


def halves_of_e2m1(codes: Tensor) -> Tensor:
    """Return the numbers that codes of 4 bits stand for over 2^14, likewise."""
    wide = codes.to(torch.int16)
    sign = (wide & 8).bitwise_left_shift_(12)
    return wide.bitwise_and_(7).bitwise_left_shift_(9).bitwise_or_(sign).view(torch.float16)


def largest(x: Tensor) -> Tensor:
    """Return the largest magnitude of each row of x [B, H, S, D], [B, 1, 1, 1], in at least float32."""
    return x.abs().amax((1, 2, 3), keepdim=True).to(torch.promote_types(x.dtype, torch.float32))
