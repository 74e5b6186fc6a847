"""Holds what the kernels of a step leave for each other about the softmax over all tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.shared.tiles import parts_at_once


@dataclass(frozen=True)
class SparseQuery:
    """Holds a query with zeros at all but some channels, whose products with keys are approximate logits.

    masked [B, H, G, D]; temperature [B, H, G] float32 turns products into logits.
    """

    masked: Tensor
    temperature: Tensor


@dataclass(frozen=True)
class SoftmaxMass:
    """Holds what the softmax over all live tokens divides by, in partial results of P programs per KV head.

    peak and total [B, H, P, G] float32 are the largest logit and the sum of exp(logit - peak). The logits are those of
    `approximate` if that is given, else the exact ones. kept [B, H, 1, G]: the same sum over the kept tokens, if known.
    """

    peak: Tensor
    total: Tensor
    approximate: SparseQuery | None = None
    kept: Tensor | None = None

    @classmethod
    def empty(
        cls, q: Tensor, programs: int, approximate: SparseQuery | None = None, knows_kept: bool = False
    ) -> SoftmaxMass:
        """Allocate the mass for a query [B, H, G, D], for kernels to write."""
        b, h, group, _ = q.shape
        peak, total, kept = torch.empty(3, b, h, programs, group, dtype=torch.float32, device=q.device)
        return cls(peak, total, approximate, kept if knows_kept else None)


@dataclass(frozen=True)
class KeptShare:
    """Says by what share of the softmax mass the output is scaled, and whether the mean of V gets the rest."""

    mass: SoftmaxMass | None = None
    mix: bool = False

    @property
    def is_known(self) -> bool:
        """Return True if the kernels that chose the tokens have summed up the kept mass too."""
        return self.mass is not None and self.mass.kept is not None

    @property
    def is_approximate(self) -> bool:
        """Return True if the kept mass is one of approximate logits and still to be summed up."""
        return self.mass is not None and self.mass.approximate is not None and not self.is_known

    @property
    def programs(self) -> int:
        """Count the programs per KV head that summed up the mass of all tokens."""
        return 1 if self.mass is None else self.mass.peak.shape[2]

    @property
    def options(self) -> dict[str, int]:
        """Return what the kernels are compiled for."""
        return {"share": self.mass is not None, "mix": self.mix, "pad_chunks": parts_at_once(self.programs)}

    def pointers(self, unused: Tensor) -> Iterator[Tensor]:
        """Yield masked query, temperature, peak, total and kept mass; `unused` where the kernels touch none."""
        sparse = None if self.mass is None else self.mass.approximate
        query = (sparse.masked, sparse.temperature) if sparse else (None, None)
        mass = (self.mass.peak, self.mass.total, self.mass.kept) if self.mass else (None, None, None)
        return (unused if tensor is None else tensor for tensor in (*query, *mass))
