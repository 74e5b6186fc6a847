"""Truncates the weights that make keys and values, so that the cache holds fewer numbers of each token: LoRC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from harness.attention import Meter, Projections, Step
from harness.attention.weights import Spectrum, TruncatedProjections, shares_of_conditions, truncated
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.projected import Projected, ProjectedCache
from harness.methods.ratio import Budget

__all__ = ["LoRC"]


@dataclass(frozen=True)
class LoRC(ProjectedCache):
    """Keeps rank_k and rank_v singular directions of each layer's weights of K and V, all KV heads together.

    With `rank_min` they are what the first layer keeps, the last keeps rank_min, and condition numbers say how much
    others do (this rule was written down from memory of the paper). Without `own_prefill` the prompt is prefilled
    densely and its cache projected afterwards, which is not the published method and lets it share a prefill.
    """

    about: ClassVar[About] = About(
        title="LoRC",
        access="all",
        note="no code was released; the rule for progressive ranks, which only rank_min turns on, is from memory of "
        "the paper",
        paper=Paper(
            title="LoRC: Low-Rank Compression for LLMs KV Cache with a Progressive Compression Strategy",
            authors="Rongzhi Zhang, Kuang Wang, Liyuan Liu, Shuohang Wang, Hao Cheng, Chao Zhang, Yelong Shen",
            year=2024,
            arxiv="2410.03111",
        ),
    )

    rank_min: Size | None = None
    own_prefill: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank_min is not None and self.rank_min > min(self.rank_k, self.rank_v):
            raise InputError(f"LoRC needs rank_min of at most rank_k and rank_v, not {self.rank_min}")

    def projected(self, weights: Sequence[Projections], learnt: Sequence[Any]) -> Sequence[TruncatedProjections]:
        """Truncate the weights of all layers. Source: section 3."""
        spectra = [(Spectrum.of(of.k), Spectrum.of(of.v)) for of in weights]
        shares = [1.0] * len(spectra)
        if self.rank_min is not None:
            shares = shares_of_conditions([k.condition * v.condition for k, v in spectra])
        ranks = [(self._rank(self.rank_k, share), self._rank(self.rank_v, share)) for share in shares]
        return [truncated(of, *two, *kept) for of, two, kept in zip(weights, spectra, ranks, strict=True)]

    def attend(self, step: Step, state: Projected) -> Tensor:
        """Attend to all tokens as they are cached, and note their ranks if the weights decide them."""
        if self.measured:
            ranks = state.weights.k_space.rank + state.weights.v_space.rank
            state.meter.note((step.mask.sum((1, 2)) + 1) * ranks * ELEMENT)
        return super().attend(step, state)

    def cost(self, at: LayerAt) -> Cost:
        """Count rank_k + rank_v numbers of each token over all KV heads, a bound where ranks fall with the layer.

        The directions are weights, which are not counted; that K is made of them anew in every step is arithmetic.
        """
        heads = at.kv_heads * at.head_dim
        token = at.elements((min(self.rank_k, heads) + min(self.rank_v, heads)) / at.kv_heads)
        return Cost(attend=at.n * token, write=token, held=at.n * token)

    @property
    def measured(self) -> bool:
        """Return True where the weights decide the ranks."""
        return self.rank_min is not None

    def meter(self, state: Projected) -> Meter | None:
        """Return what the layer's ranks amount to, where the weights decide them."""
        return state.meter if self.measured else None

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Give rank_k and rank_v as much as fits, the same to both up to 1; progressive ranks stay below that."""
        most = max(layer.kv_heads * layer.head_dim for layer in set(budget.layers))
        return cls.with_ranks(budget, fixed.get("rank_min") or 1, most, **fixed)

    def _rank(self, most: int, share: float) -> int:
        least = most if self.rank_min is None else self.rank_min
        return round(least + share * (most - least))
