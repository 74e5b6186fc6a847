"""Holds the weights that make a layer's keys and values, and projects them onto the directions that matter most."""

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
    `heads` counts the KV heads.
    """

    k: Tensor
    v: Tensor
    k_bias: Tensor | None = None
    v_bias: Tensor | None = None
    plain: bool = True
    heads: int = 1


@dataclass(frozen=True, eq=False)
class Subspace:
    """Holds an orthonormal basis [H D, r] of directions of all KV heads together, to which vectors are projected."""

    basis: Tensor

    @property
    def rank(self) -> int:
        """Count the directions."""
        return self.basis.shape[1]

    def to(self, like: Tensor) -> Subspace:
        """Return it in the dtype and on the device of a tensor."""
        return Subspace(self.basis.to(like))

    def project(self, x: Tensor) -> Tensor:
        """Return what is left of vectors x [..., H D]."""
        return (x @ self.basis.to(x)) @ self.basis.T.to(x)


@dataclass(frozen=True, eq=False, kw_only=True)
class TruncatedProjections(Projections):
    """Holds weights whose keys and values lie in subspaces; what is cached of a token may be less exact than they."""

    k_space: Subspace
    v_space: Subspace

    @classmethod
    def of(cls, weights: Projections, k_space: Subspace, v_space: Subspace) -> TruncatedProjections:
        """Project the weights of a layer, in float64 on the CPU where the spaces are."""
        pairs = (k_space.basis, weights.k), (v_space.basis, weights.v)
        k, v = ((basis @ (basis.T @ _accurate(weight))).to(weight) for basis, weight in pairs)
        spaces = {"k_space": k_space.to(weights.k), "v_space": v_space.to(weights.v)}
        return cls(k, v, weights.k_bias, weights.v_bias, weights.plain, weights.heads, **spaces)

    def project_keys(self, k: Tensor, rope: Rope, positions: Tensor) -> Tensor:
        """Return the keys [B, H, N, D] that are cached of the same tokens, at positions [B, N]."""
        at = positions[:, None]
        return rope.rotate(_projected(rope.unrotate(k, at), self.k_space, self.k_bias), at)

    def project_values(self, v: Tensor) -> Tensor:
        """Return the values [B, H, N, D] that are cached of the same tokens."""
        return _projected(v, self.v_space, self.v_bias)


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Holds the singular value decomposition of a weight [H D, E]: left vectors [H D, m], values [m], falling."""

    left: Tensor
    values: Tensor

    @classmethod
    def of(cls, weight: Tensor, factor: Tensor | None = None) -> Spectrum:
        """Decompose a weight, or its product with a factor [E, E], in float64 on the CPU.

        So every device finds the same directions.
        """
        product = _accurate(weight) if factor is None else _accurate(weight) @ _accurate(factor)
        u, s, _ = torch.linalg.svd(product, full_matrices=False)
        return cls(u, s)

    @property
    def condition(self) -> float:
        """Return the largest singular value over the smallest that is not zero."""
        least = self.values[0] * max(self.left.shape) * torch.finfo(self.values.dtype).eps
        return float(self.values[0] / self.values[self.values > least][-1])


def truncated(weights: Projections, k: Spectrum, v: Spectrum, rank_k: int, rank_v: int) -> TruncatedProjections:
    """Keep so many directions of each weight w: U_r U_r' w, which is U_r s_r V_r'."""
    return TruncatedProjections.of(weights, Subspace(k.left[:, :rank_k]), Subspace(v.left[:, :rank_v]))


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


def joined(x: Tensor, bias: Tensor | None) -> Tensor:
    """Return x [B, H, N, D] as vectors [B, N, H D] in at least float32, without the bias that was added to them."""
    stacked = x.transpose(1, 2).flatten(2).to(torch.promote_types(x.dtype, torch.float32))
    return stacked if bias is None else stacked - bias.to(stacked)


def parted(x: Tensor, bias: Tensor | None, heads: int) -> Tensor:
    """Return vectors x [B, N, H D] by head, [B, H, N, D], with their bias."""
    whole = x if bias is None else x + bias.to(x)
    return whole.view(*whole.shape[:2], heads, -1).transpose(1, 2)


def _projected(x: Tensor, space: Subspace, bias: Tensor | None) -> Tensor:
    """Project x [B, H, N, D], all heads of a token as one vector, without its bias."""
    return parted(space.project(joined(x, bias)), bias, x.shape[1]).to(x.dtype)
