"""Cuts low-rank keys and values into groups of KV heads, and holds few bits of each group's latent in their place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from harness.attention.weights import Spectrum, Subspace

LEAST = 1e-5
"""Smallest distance between the ends of a group's codes."""


@dataclass(frozen=True, eq=False)
class Latents(Subspace):
    """Holds `down` [H D, r] and `up` [r, H D], by way of which vectors are projected: `bits` are held of each latent.

    The groups have `ranks` columns of `down` each, as of the basis, which lie in the rows of the group's heads.
    """

    down: Tensor
    up: Tensor
    ranks: tuple[int, ...]
    bits: int

    @classmethod
    def of(cls, bases: Sequence[Tensor], scales: Sequence[Tensor], bits: int, rotated: bool) -> Self:
        """Make latents of each group's orthonormal directions [m, r]: a vector's part along them over its scale [r].

        A direction of scale 0 is left out. `rotated` spreads a latent over its numbers by a Walsh-Hadamard matrix.
        """
        basis, scale = diagonal(bases), torch.cat(list(scales))
        turn = diagonal([hadamard(len(one)) if rotated else torch.eye(len(one)) for one in scales]).to(basis)
        down = (basis * scale.reciprocal().nan_to_num(posinf=0)) @ turn
        up = turn.T @ (basis * scale).T
        return cls(basis, down, up, tuple(map(len, scales)), bits)

    def to(self, like: Tensor) -> Latents:
        """Return them in the dtype and on the device of a tensor."""
        return replace(self, **{name: getattr(self, name).to(like) for name in ("basis", "down", "up")})

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return what is held of vectors x [..., H D]: codes [..., r], and a step and a zero point of each group."""
        found = [codes_of(latent, self.bits) for latent in torch.split(x @ self.down.to(x), list(self.ranks), -1)]
        codes, step, zero = (torch.cat(part, -1) for part in zip(*found, strict=True))
        return codes, step, zero

    def decode(self, codes: Tensor, step: Tensor, zero: Tensor) -> Tensor:
        """Read vectors [..., H D] back, in the dtype of the steps."""
        parts = enumerate(torch.split(codes, list(self.ranks), -1))
        lowest = -zero * step
        found = [torch.addcmul(lowest[..., i, None], part, step[..., i, None]) for i, part in parts]
        return (found[0] if len(found) == 1 else torch.cat(found, -1)) @ self.up.to(step)

    def project(self, x: Tensor) -> Tensor:
        """Return what is read back of vectors x [..., H D]."""
        return self.decode(*self.encode(x))


def leading(weight: Tensor, rows: int, rank: int, factor: Tensor | None = None) -> tuple[list[Tensor], list[Tensor]]:
    """Find the directions [m, r] of each `rows` rows of a weight [H D, E], and the root of their singular values [r].

    The last group is what is left; with a factor [E, E], the directions are those of the product. A value that is only
    rounding is 0. Source: Palu (arXiv 2407.21118), sections 3.1 and 3.2.
    """
    spectra = [Spectrum.of(group, factor) for group in torch.split(weight, rows)]
    bases = [spectrum.left[:, :rank] for spectrum in spectra]
    least = [max(weight.shape) * torch.finfo(torch.float32).eps * spectrum.values[0] for spectrum in spectra]
    found = zip(spectra, least, strict=True)
    return bases, [(of.values * (of.values > smallest))[:rank].sqrt() for of, smallest in found]


def hadamard(rank: int) -> Tensor:
    """Return an orthonormal Walsh-Hadamard matrix [rank, rank].

    Its blocks are of the largest power of two that divides the rank: there is none of just any size.
    """
    size = rank & -rank
    matrix = torch.ones(1, 1, dtype=torch.float64)
    while len(matrix) < size:
        matrix = torch.cat((torch.cat((matrix, matrix), 1), torch.cat((matrix, -matrix), 1)))
    return diagonal([matrix / size**0.5] * (rank // size))


def diagonal(blocks: Sequence[Tensor]) -> Tensor:
    """Put matrices on the diagonal of one, which is zero elsewhere."""
    joined: Tensor = torch.block_diag(*blocks)  # type: ignore[no-untyped-call]
    return joined


def codes_of(x: Tensor, bits: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return codes [..., r] of so many bits of x [..., r], with a step and a zero point [..., 1] of each row.

    The zero point is a code and clamped like one, so a row that lies on one side of zero is cut off. Source: released
    code of Palu.
    """
    most = (1 << bits) - 1
    low, high = x.amin(-1, keepdim=True), x.amax(-1, keepdim=True)
    step = (high - low).clamp_min(LEAST) / most
    zero = (-low / step).round().clamp(0, most)
    return (x / step).round().add(zero).clamp(0, most), step, zero
