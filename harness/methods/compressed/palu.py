"""Caches a low-rank latent of groups of KV heads in place of K and V, in few bits if need be: Palu."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from harness.attention import LayerPrefix, Projections
from harness.attention.calibration import InputMoment
from harness.attention.latents import Latents, diagonal, leading
from harness.attention.packed.latent import PackedLatents
from harness.attention.weights import Subspace, TruncatedProjections
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.projected import Cached, ProjectedCache
from harness.methods.ratio import Budget

__all__ = ["Palu"]

EXACT = 16
"""Bits of a number of a latent that is not quantised."""
STORED = 4
"""Numbers beside the codes of a token of a group: a step and a zero point for K, and for V."""


@dataclass(frozen=True)
class Palu(ProjectedCache):
    """Keeps rank_k and rank_v directions of each `head_group_size` KV heads, the last group of as many as are left.

    Directions are those of weights times the activations that enter attention (`whiten`), of the task's first
    `calibration_prompts`, where the paper has Wikitext. `latent_bits` below 16 quantise each group's latent, `hadamard`
    before which it is rotated. Without `own_prefill` the prompt is prefilled densely and its cache projected
    afterwards, which is not the published method and lets it share a prefill.
    """

    about: ClassVar[About] = About(
        title="Palu",
        access="all",
        note="whitened on the task's first prompts, not on Wikitext; the same rank in all layers, for the search by "
        "Fisher information needs gradients",
        paper=Paper(
            title="Palu: KV-Cache Compression with Low-Rank Projection",
            authors="Chi-Chih Chang, Wei-Cheng Lin, Chien-Yu Lin, Chong-Yan Chen, Yu-Fang Hu, Pei-Shuo Wang, "
            "Ning-Chi Huang, Luis Ceze, Mohamed S. Abdelfattah, Kai-Chiang Wu",
            venue="ICLR",
            year=2025,
            arxiv="2407.21118",
        ),
    )

    head_group_size: Size = 4
    search: Literal["uniform", "fisher_uniform"] = "uniform"
    latent_bits: Literal[16, 4, 3] = 16
    hadamard: bool = True
    whiten: bool = True
    calibration_prompts: Size = 8
    own_prefill: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.search != "uniform":
            raise InputError("Palu's search=fisher_uniform needs gradients, which no run here has: take search=uniform")

    @property
    def calibrator(self) -> InputMoment | None:
        """Return what directions are weighed with."""
        return InputMoment(self.calibration_prompts) if self.whiten else None

    @property
    def lossy(self) -> bool:
        """Return True if latents are quantised."""
        return self.latent_bits < EXACT

    def projected(self, weights: Sequence[Projections], learnt: Sequence[Any]) -> list[TruncatedProjections]:
        """Cut the weights of all layers down. Source: sections 3.1 to 3.3."""
        return [self._cut(of, factor) for of, factor in zip(weights, learnt or [None] * len(weights), strict=True)]

    def cost(self, at: LayerAt) -> Cost:
        """Count the latents of each token, with a step and a zero point for each group's where they are quantised.

        The directions are weights, which are not counted; that K and V are made of latents anew in every step is
        arithmetic.
        """
        firsts = range(0, at.kv_heads, self.head_group_size)
        widths = [min(self.head_group_size, at.kv_heads - first) * at.head_dim for first in firsts]
        numbers = sum(min(self.rank_k, width) + min(self.rank_v, width) for width in widths)
        stored = at.elements(STORED * len(widths)) if self.lossy else 0
        token = (numbers * self.latent_bits + stored) / at.kv_heads
        return Cost(attend=at.n * token, write=token, held=at.n * token)

    def cached(self, prefix: LayerPrefix) -> Cached:
        """Hold codes, where latents are quantised."""
        return PackedLatents(prefix) if self.lossy else super().cached(prefix)

    def state_elements(self, at: LayerAt) -> float:
        """Count packed codes of 4 bits, and at most a quarter more: steps are float32 and zero points bytes."""
        return 1.25 * replace(self, latent_bits=4).cost(at).held / ELEMENT if self.lossy else super().state_elements(at)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Give rank_k and rank_v as much as fits, the same to both up to 1; latent_bits stay as they are."""
        size = fixed.get("head_group_size") or cls.head_group_size
        most = max(min(size, layer.kv_heads) * layer.head_dim for layer in set(budget.layers))
        return cls.with_ranks(budget, 1, most, **fixed)

    def _cut(self, weights: Projections, factor: Tensor | None) -> TruncatedProjections:
        rows = self.head_group_size * (weights.k.shape[0] // weights.heads)
        k = self._space(*leading(weights.k, rows, self.rank_k, factor))
        return TruncatedProjections.of(weights, k, self._space(*leading(weights.v, rows, self.rank_v, factor)))

    def _space(self, bases: Sequence[Tensor], scales: Sequence[Tensor]) -> Subspace:
        """Join the directions of all groups."""
        if self.lossy:
            return Latents.of(bases, scales, self.latent_bits, self.hadamard)
        return Subspace(diagonal(bases))
