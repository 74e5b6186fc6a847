"""Encodes numbers by a codebook of few values, within ranges of channels or of tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.codebooks import rounded
from harness.attention.packed.bits import pack, room
from harness.attention.packed.held import Format, Held
from harness.attention.quantiles import ends


@dataclass(frozen=True, eq=False)
class ByChannel(Format):
    """Encodes channels by a row's centres [B, C] within fixed ranges: lower and upper, [B, H, 1, D].

    Entries beyond them are `outside`, if there are `outliers`; else they take the outermost centre.
    """

    bits: int
    centres: Tensor
    lower: Tensor
    upper: Tensor
    outliers: bool

    def encode(self, x: Tensor) -> Held:
        """Return codes [B, H, n, W]."""
        return (pack(rounded(normalised(x, self.lower, self.upper), self.centres), self.bits),)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D]."""
        out = self.lower.new_empty(*held[0].shape[:-1], self.lower.shape[-1])
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back into out [B, H, n, D]."""
        spread(held[0], self.bits, self.centres, (self.lower, self.upper), out)

    def outside(self, x: Tensor) -> Tensor:
        """Return which entries of x [B, H, n, D] their range does not cover."""
        found = (x < self.lower) | (x > self.upper)
        return found if self.outliers else torch.zeros_like(found)


@dataclass(frozen=True, eq=False)
class ByToken(Format):
    """Encodes tokens, all KV heads together, by a row's centres [B, C] within a range that each token has of its own.

    `outside` are a token's entries at or beyond its quantiles fraction / 2 and 1 - fraction / 2; the range is that of
    the others and the median. Held are codes [B, H, n, W] with ranges [B, 1, n].
    """

    bits: int
    centres: Tensor
    width: int
    fraction: float

    def encode(self, x: Tensor) -> Held:
        """Return codes, least and greatest numbers."""
        median = x.transpose(1, 2).flatten(2).median(-1).values[:, None, :, None]
        inside = torch.where(self.outside(x), median, x)
        lower, upper = (of[:, None] for of in (inside.amin((1, 3)), inside.amax((1, 3))))
        codes = rounded(normalised(x, lower[..., None], upper[..., None]), self.centres)
        return pack(codes, self.bits), lower, upper

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D]."""
        out = held[1].new_empty(*held[0].shape[:-1], self.width)
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back into out [B, H, n, D]."""
        codes, lower, upper = held
        spread(codes, self.bits, self.centres, (lower[..., None], upper[..., None]), out)

    def outside(self, x: Tensor) -> Tensor:
        """Return which entries of x [B, H, n, D] are at or beyond a token's quantiles; none where the fraction is 0."""
        if not self.fraction:
            return torch.zeros_like(x, dtype=torch.bool)
        lower, upper = ends_of_tokens(x, self.fraction)
        return (x <= lower) | (x >= upper)


def ends_of_tokens(x: Tensor, fraction: float) -> tuple[Tensor, Tensor]:
    """Return the quantiles of tokens [B, H, n, D], all KV heads together, as [B, 1, n, 1]."""
    row = x.transpose(1, 2).flatten(2)
    lower, upper = ends(row, torch.ones_like(row[0, 0], dtype=torch.bool), fraction)
    return lower[:, None, :, None], upper[:, None, :, None]


def normalised(x: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """Return where x lies between two numbers, -1 to 1, in the precision of the wider; 0 where they are equal."""
    precise = torch.promote_types(x.dtype, torch.float32)
    low, high = lower.to(precise), upper.to(precise)
    half = (high - low) / 2
    return torch.where(half == 0, 0, (x.to(precise) - (high + low) / 2) / half)


def spread(codes: Tensor, bits: int, centres: Tensor, ends: tuple[Tensor, Tensor], out: Tensor) -> None:
    """Read packed codes [B, H, n, W] into out [B, H, n, D]: a row's centres [B, C], spread between two numbers."""
    low, high = (end.to(centres.dtype) for end in ends)
    half, middle = ((x / 2).expand(out.shape) for x in (high - low, high + low))
    found = out if out.dtype == centres.dtype else torch.empty_like(out, dtype=centres.dtype)
    row = torch.arange(0, len(codes) << 8, 1 << 8, dtype=torch.int32, device=codes.device)
    index = codes.to(torch.int32).add_(row.view(-1, 1, 1, 1)).flatten()
    for i, table in enumerate(_by_byte(centres, room(bits))):
        part = found[..., i * codes.shape[-1] : (i + 1) * codes.shape[-1]]
        of_part = slice(i * codes.shape[-1], i * codes.shape[-1] + part.shape[-1])
        read = table.index_select(0, index).view(codes.shape)[..., : part.shape[-1]]
        part.copy_(middle[..., of_part]).addcmul_(read, half[..., of_part])
    if found is not out:
        out.copy_(found)


def _by_byte(centres: Tensor, taken: int) -> Iterator[Tensor]:
    """Give the centre of each code that lies in a byte, of its lowest bits first, for all bytes of all rows [B 256]."""
    byte = torch.arange(1 << 8, device=centres.device)
    for shift in range(0, 8, taken):
        code = (byte >> shift) & ((1 << taken) - 1)
        yield centres[:, code.clamp(max=centres.shape[1] - 1)].flatten()
