"""Defines methods that cache a projection of K and V, by other weights or of what the model's own have made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, Self

import torch
from torch import Tensor

from harness.attention import (
    Attended,
    LayerPrefill,
    LayerPrefix,
    Meter,
    Projections,
    Step,
    attend_prompt,
    attend_to_all,
)
from harness.attention.projected import ProjectedTokens
from harness.attention.weights import TruncatedProjections
from harness.errors import InputError
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, LayerAt
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, largest_knob, without_null


class Cached(Protocol):
    """Holds the projected cache of a layer."""

    def take(self, step: Step) -> Step:
        """Add a step's newest token, and return the step with all tokens as they are held."""
        ...


@dataclass
class Projected:
    """Holds what the layer's weights became, the projected cache where the model's own is not that, and a meter."""

    weights: TruncatedProjections
    cache: Cached | None = None
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class ProjectedCache(Method[Projected]):
    """Runs the model with projected weights, prompt included; or projects the cache that a dense prefill has left.

    The latter, without `own_prefill`, a knob, lets the method share a prefill. Where what is cached is less exact than
    what the weights make (`lossy`), the cache is the method's own in both cases.
    """

    rank_k: Size
    rank_v: Size

    @property
    def lossy(self) -> bool:
        """Return True if cached keys and values are not those that the projected weights make."""
        return False

    @property
    def needs(self) -> frozenset[Need]:
        """Return weights, and the rotary embedding where cached keys are projected."""
        return super().needs | ({"weights", "rope"} if self.owns_cache else {"weights"})

    @property
    def owns_cache(self) -> bool:
        """Return True where the cache that the model fills is not the one that is attended to."""
        return not self.own_prefill or self.lossy

    def reweigh(self, weights: Sequence[Projections], learnt: Sequence[Any] = ()) -> Sequence[TruncatedProjections]:
        """Project the weights of all layers. Raises InputError if cached keys, to be projected, are no product."""
        if self.owns_cache and not all(of.plain for of in weights):
            name = type(self).__name__
            fix = "choose another model" if self.lossy else f"{name} needs own_prefill=true"
            raise InputError(f"keys of this model are no plain product: {fix}")
        return self.projected(weights, learnt)

    @abstractmethod
    def projected(self, weights: Sequence[Projections], learnt: Sequence[Any]) -> Sequence[TruncatedProjections]:
        """Project the weights of all layers, with what was learnt of each beforehand."""

    def prefill(self, prompt: LayerPrefill) -> Attended:
        """Attend to keys and values as they are cached."""
        if not self.lossy:
            return attend_prompt(prompt)
        assert isinstance(prompt.weights, TruncatedProjections) and prompt.rope is not None
        positions = torch.arange(prompt.k.shape[2], device=prompt.k.device)[None]
        k = prompt.weights.project_keys(prompt.k, prompt.rope.to(prompt.k.device), positions)
        return attend_prompt(replace(prompt, k=k, v=prompt.weights.project_values(prompt.v)))

    def start(self, prefix: LayerPrefix) -> Projected:
        """Project the cache of the prefill; one with projected weights has left a projected one."""
        assert isinstance(prefix.weights, TruncatedProjections)
        return Projected(prefix.weights, self.cached(prefix) if self.owns_cache else None)

    def cached(self, prefix: LayerPrefix) -> Cached:
        """Hold keys and values as they are projected, multiplied out."""
        return ProjectedTokens(prefix)

    def attend(self, step: Step, state: Projected) -> Tensor:
        """Attend to all tokens as they are cached, the newest included."""
        return attend_to_all(step if state.cache is None else state.cache.take(step))

    def state_elements(self, at: LayerAt) -> float:
        """Count a second cache, projected and multiplied out again, unless the model fills a projected one."""
        return at.cache / ELEMENT if self.owns_cache else 0

    @classmethod
    def with_ranks(cls, budget: Budget, least: int, most: int, **fixed: Any) -> Self:
        """Give rank_k and rank_v as much as fits, the same to both up to 1, unless one of them is fixed."""
        given = without_null(fixed)
        if "rank_k" in given:
            return largest_knob(cls, "rank_v", (least, most), budget, **given)
        if "rank_v" in given:
            return largest_knob(cls, "rank_k", (least, most), budget, **given)
        same = largest_knob(
            lambda rank_k, **more: cls(rank_k, rank_k, **more), "rank_k", (least, most), budget, **given
        )
        one_more = cls(**{**given, "rank_k": same.rank_k, "rank_v": same.rank_v + 1})
        return one_more if same.rank_v < most and budget.spent(one_more) <= budget.allowed else same
