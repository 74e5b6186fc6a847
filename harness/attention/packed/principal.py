"""Encodes keys before rotation along their own principal directions, in more bits the more a direction matters."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Self

import torch
from torch import Tensor

from harness.attention.packed.bits import pack, unpack_into
from harness.attention.packed.held import Format, Held
from harness.attention.packed.rotated import unrotated
from harness.attention.rope import Rope


@dataclass(frozen=True, eq=False)
class Principal(Format):
    """Encodes deviations from a mean [B, J, 1, W] along the directions `basis` [B, J, W, R], R of which have bits.

    If `joint`, J is 1 and the W = H D numbers of all KV heads lie side by side, else J is H and W is D. Column i takes
    widths[i] bits between `least` and what 2^bits - 1 of its `step` reach, both [B, J, 1, R]. Tokens are keys at
    places, which are their positions: encoded from place 0 on, and read back rotated. All is computed in float64, but
    for reading back.
    """

    mean: Tensor
    basis: Tensor
    least: Tensor
    step: Tensor
    widths: tuple[int, ...]
    rope: Rope
    heads: int
    joint: bool

    @classmethod
    def of(cls, k: Tensor, seen: Tensor, widths: Sequence[int], rope: Rope, joint: bool) -> Self:
        """Find mean, directions and ranges of the tokens that are `seen` [B, n] of keys by places, [B, H, n, D].

        Directions behind as many as there are tokens are left out. `widths` has the bits of all W, 0 at the end.
        """
        rows, of_row = _rows(unrotated(k.double(), rope), joint), seen[:, None, :, None]
        count = seen.sum(1).view(-1, 1, 1, 1)
        mean = rows.masked_fill(~of_row, 0).sum(2, keepdim=True) / count
        apart = (rows - mean).masked_fill(~of_row, 0)
        kept = sum(bits > 0 for bits in widths)
        vectors = torch.linalg.eigh(apart.transpose(2, 3) @ apart).eigenvectors.flip(-1)[..., :kept]
        basis = vectors.masked_fill(torch.arange(kept, device=k.device) >= count, 0)
        latent = apart @ basis
        most = torch.tensor([2.0**bits - 1 for bits in widths[:kept]], dtype=torch.float64, device=k.device)
        least = latent.masked_fill(~of_row, torch.inf).amin(2, keepdim=True)
        step = (latent.masked_fill(~of_row, -torch.inf).amax(2, keepdim=True) - least) / most
        return cls(mean, basis, least, step, tuple(widths[:kept]), rope, k.shape[1], joint)

    def to(self, dtype: torch.dtype) -> Principal:
        """Return the same, to be read back in a dtype."""
        mean, basis, least, step = (x.to(dtype) for x in (self.mean, self.basis, self.least, self.step))
        return replace(self, mean=mean, basis=basis, least=least, step=step)

    def encode(self, x: Tensor) -> Held:
        """Return codes [B, J, n, W'] of each run of columns with as many bits."""
        rows = _rows(unrotated(x.double(), self.rope), self.joint)
        at = ((rows - self.mean) @ self.basis - self.least) / self.step.masked_fill(self.step == 0, 1)
        return tuple(_stored(at[..., part].round().clamp(0, (1 << bits) - 1), bits) for part, bits in self._runs())

    def decode(self, held: Held) -> Tensor:
        """Read back rotated keys, [B, H, n, D]."""
        latent = self.basis.new_empty(*held[0].shape[:3], len(self.widths))
        for codes, (part, bits) in zip(held, self._runs(), strict=True):
            if bits > 8:
                latent[..., part] = codes
            else:
                unpack_into(codes, bits, latent[..., part])
        rows = latent.mul_(self.step).add_(self.least) @ self.basis.transpose(2, 3) + self.mean
        keys = rows[:, 0].view(*rows.shape[0:3:2], self.heads, -1).transpose(1, 2) if self.joint else rows
        return self.rope.rotate(keys, torch.arange(keys.shape[2], device=keys.device))

    def _runs(self) -> Iterator[tuple[slice, int]]:
        """Give the columns that take as many bits, and how many."""
        start = 0
        for bits, run in groupby(self.widths):
            count = len(list(run))
            yield slice(start, start + count), bits
            start += count


def _rows(x: Tensor, joint: bool) -> Tensor:
    """Return tokens [B, H, n, D] as rows [B, J, n, W]."""
    return x.transpose(1, 2).flatten(2)[:, None] if joint else x


def _stored(codes: Tensor, bits: int) -> Tensor:
    """Pack codes of up to 8 bits; longer ones are kept as integers."""
    return pack(codes, bits) if bits <= 8 else codes.to(torch.int32 if bits < 32 else torch.int64)
