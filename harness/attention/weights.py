"""Holds the weights that make a layer's keys and values, and truncates them to the directions that matter most."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.rope import Rope


@dataclass(frozen=True, eq=False)
class Projections:
    """Holds k and v [H D, E], which make a token's keys and values of its hidden state; rows lie KV head by KV head.

    Biases [H D], if any, are added afterwards. `plain` is False where more than a rotation follows, such as a norm.
    """

    k: Tensor
    v: Tensor
    k_bias: Tensor | None = None
    v_bias: Tensor | None = None
    plain: bool = True


@dataclass(frozen=True, eq=False, kw_only=True)
class TruncatedProjections(Projections):
    """Holds projections onto directions of all KV heads together: orthonormal k_basis, v_basis [H D, r]."""

    k_basis: Tensor
    v_basis: Tensor

    def project_keys(self, k: Tensor, rope: Rope, positions: Tensor) -> Tensor:
        """Return the keys [B, H, N, D] that the truncated weights make of the same tokens, at positions [B, N]."""
        at = positions[:, None]
        return rope.rotate(_projected(rope.unrotate(k, at), self.k_basis, self.k_bias), at)

    def project_values(self, v: Tensor) -> Tensor:
        """Return the values [B, H, N, D] that the truncated weights make of the same tokens."""
        return _projected(v, self.v_basis, self.v_bias)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Holds the singular value decomposition of a weight [H D, E]: left vectors [H D, m], values [m], falling."""

    left: Tensor
    values: Tensor

    @classmethod
    def of(cls, weight: Tensor) -> Spectrum:
        """Decompose a weight, in float64 on the CPU, so that every device finds the same directions."""
        u, s, _ = torch.linalg.svd(_accurate(weight), full_matrices=False)
        return cls(u, s)

    @property
    def condition(self) -> float:
        """Return the largest singular value over the smallest that is not zero."""
        least = self.values[0] * max(self.left.shape) * torch.finfo(self.values.dtype).eps
        return float(self.values[0] / self.values[self.values > least][-1])


def truncated(weights: Projections, k: Spectrum, v: Spectrum, rank_k: int, rank_v: int) -> TruncatedProjections:
    """Keep so many directions of each weight w: U_r U_r' w, which is U_r s_r V_r'."""
    k_basis, v_basis = k.left[:, :rank_k], v.left[:, :rank_v]
    kept = (basis @ (basis.T @ _accurate(w)) for basis, w in ((k_basis, weights.k), (v_basis, weights.v)))
    new_k, new_v, k_basis, v_basis = (x.to(weights.k.dtype).to(weights.k.device) for x in (*kept, k_basis, v_basis))
    biases = weights.k_bias, weights.v_bias
    return TruncatedProjections(new_k, new_v, *biases, weights.plain, k_basis=k_basis, v_basis=v_basis)


def _accurate(weight: Tensor) -> Tensor:
    return weight.cpu().double()


def shares_of_conditions(conditions: Sequence[float]) -> list[float]:
    """Return for each layer how much rank it keeps between the least, 0, and the most, 1 (LoRC, arXiv 2410.03111).

    `conditions` are the layers', of both weights multiplied. A layer's is the logarithm of the product over it and all
    later layers, between the smallest and the largest such: an error of an early layer grows through those above.
    """
    logs = torch.tensor(conditions, dtype=torch.float64).log().flip(0).cumsum(0).flip(0)
    spread = float(logs.max() - logs.min())
    return [1.0] * len(conditions) if spread == 0 else ((logs - logs.min()) / spread).tolist()


def _projected(x: Tensor, basis: Tensor, bias: Tensor | None) -> Tensor:
    """Project x [B, H, N, D], all heads of a token as one vector, without the bias that was added to it."""
    stacked = x.transpose(1, 2).flatten(2).to(torch.promote_types(x.dtype, torch.float32))
    shift = 0 if bias is None else bias.to(stacked)
    kept = ((stacked - shift) @ basis.to(stacked)) @ basis.T.to(stacked) + shift
    return kept.view(x.shape[0], x.shape[2], *x.shape[1::2]).transpose(1, 2).to(x.dtype)
