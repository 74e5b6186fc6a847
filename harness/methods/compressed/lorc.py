"""Truncates the weights that make keys and values, so that the cache holds fewer numbers of each token: LoRC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Rope, Step, attend_to_all
from harness.attention.own_cache import OwnCache
from harness.attention.unrotated import rope_of
from harness.attention.weights import Projections, Spectrum, TruncatedProjections, shares_of_conditions, truncated
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["LoRC"]


@dataclass
class Truncated:
    """Holds what the layer's weights were truncated to, the projected cache where the model's own is not, a meter."""

    weights: TruncatedProjections
    first: Tensor
    cache: OwnCache | None = None
    rope: Rope | None = None
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class LoRC(Method[Truncated]):
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

    rank_k: Size
    rank_v: Size
    rank_min: Size | None = None
    own_prefill: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rank_min is not None and self.rank_min > min(self.rank_k, self.rank_v):
            raise InputError(f"LoRC needs rank_min of at most rank_k and rank_v, not {self.rank_min}")

    @property
    def needs(self) -> frozenset[Need]:
        """Return weights, and the rotary embedding where cached keys are projected."""
        return frozenset({"weights"}) if self.own_prefill else frozenset({"weights", "rope"})

    @property
    def owns_cache(self) -> bool:
        """Return True where the cache that the model fills is not compressed."""
        return not self.own_prefill

    def reweigh(self, weights: Sequence[Projections]) -> Sequence[TruncatedProjections]:
        """Truncate the weights of all layers. Raises InputError if cached keys are no product that could be projected.

        Source: section 3.
        """
        if not (self.own_prefill or all(of.plain for of in weights)):
            raise InputError("keys of this model are no plain product: LoRC needs own_prefill=true")
        spectra = [(Spectrum.of(of.k), Spectrum.of(of.v)) for of in weights]
        shares = [1.0] * len(spectra)
        if self.rank_min is not None:
            shares = shares_of_conditions([k.condition * v.condition for k, v in spectra])
        ranks = [(self._rank(self.rank_k, share), self._rank(self.rank_v, share)) for share in shares]
        return [truncated(of, *two, *kept) for of, two, kept in zip(weights, spectra, ranks, strict=True)]

    def start(self, prefix: LayerPrefix) -> Truncated:
        """Project the cache of a dense prefill; a prefill with truncated weights has left a projected one."""
        weights = prefix.weights
        assert isinstance(weights, TruncatedProjections)
        state = Truncated(weights, prefix.first[:, None])
        if not self.own_prefill:
            state.rope = rope_of(prefix)
            columns = torch.arange(prefix.k.shape[2], device=prefix.k.device)
            state.cache = OwnCache(prefix, *self._projected(state, prefix.k, prefix.v, columns, prefix.mask))
        return state

    def attend(self, step: Step, state: Truncated) -> Tensor:
        """Attend to all tokens as they are cached, the newest included."""
        if self.measured:
            ranks = state.weights.k_basis.shape[1] + state.weights.v_basis.shape[1]
            state.meter.note((step.mask.sum((1, 2)) + 1) * ranks * ELEMENT)
        if state.cache is None:
            return attend_to_all(step)
        column = torch.tensor([state.cache.length], device=step.k.device)
        newest = step.k[:, :, -1:], step.v[:, :, -1:], column, step.mask[:, :, -1:]
        state.cache.append(*(x[:, :, 0] for x in self._projected(state, *newest)))
        return attend_to_all(state.cache.seen_by(step))

    def cost(self, at: LayerAt) -> Cost:
        """Count rank_k + rank_v numbers of each token over all KV heads, a bound where ranks fall with the layer.

        The directions are weights, which are not counted; that K is made of them anew in every step is arithmetic.
        """
        heads = at.kv_heads * at.head_dim
        token = at.elements((min(self.rank_k, heads) + min(self.rank_v, heads)) / at.kv_heads)
        return Cost(attend=at.n * token, write=token, held=at.n * token)

    def state_elements(self, at: LayerAt) -> float:
        """Count a second cache, projected and multiplied out again, unless the model fills a projected one."""
        return 0 if self.own_prefill else at.cache / ELEMENT

    @property
    def measured(self) -> bool:
        """Return True where the weights decide the ranks."""
        return self.rank_min is not None

    def meter(self, state: Truncated) -> Meter | None:
        """Return what the layer's ranks amount to, where the weights decide them."""
        return state.meter if self.measured else None

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Give rank_k and rank_v as much as fits, the same to both up to 1; progressive ranks stay below that."""
        given = without_null(fixed)
        most = max(layer.kv_heads * layer.head_dim for layer in set(budget.layers))
        bounds = given.get("rank_min", 1), most
        if "rank_k" in given:
            return largest_knob(cls, "rank_v", bounds, budget, **given)
        if "rank_v" in given:
            return largest_knob(cls, "rank_k", bounds, budget, **given)
        same = largest_knob(lambda rank_k, **more: cls(rank_k, rank_k, **more), "rank_k", bounds, budget, **given)
        one_more = cls(**{**given, "rank_k": same.rank_k, "rank_v": same.rank_v + 1})
        return one_more if same.rank_v < most and budget.spent(one_more) <= budget.allowed else same

    def _rank(self, most: int, share: float) -> int:
        least = most if self.rank_min is None else self.rank_min
        return round(least + share * (most - least))

    def _projected(
        self, state: Truncated, k: Tensor, v: Tensor, columns: Tensor, mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Project K and V [B, H, N, D] of tokens in columns [N]; padding stays zero."""
        assert state.rope is not None
        keys = state.weights.project_keys(k, state.rope, columns - state.first)
        found = keys, state.weights.project_values(v)
        padding = ~mask[..., None]
        return found[0].masked_fill(padding, 0), found[1].masked_fill(padding, 0)
