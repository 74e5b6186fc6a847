"""Computes Quest: pages of tokens, of which those are read whose keys could score best.

Each page is bounded per channel by the least and the largest entry of its rotated keys (paper, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_to, attend_where
from harness.attention.index.pages import Bounds, best_pages, tokens_of
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.compressed.kivi import KIVI
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.exemption import DenseLayers
from harness.methods.knob_types import AtLeast, Later, Size
from harness.methods.quantised_base import QuantisedBase, planned_bits
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["Quest"]

MIN_PAGES = 3
"""Pages that the released accuracy code reads at least."""


class Bounded(Bounds):
    """Holds a layer's bounds, the bits moved where the data decides them, and the cache where it is quantised."""

    def __init__(self, prefix: LayerPrefix, size: int, kivi: KIVI | None) -> None:
        self.base: QuantisedBase | None = None
        if kivi is not None:
            self.base, prefix = QuantisedBase.of(kivi, prefix)
        super().__init__(prefix, size)
        self.meter = Meter()

    def add(self, step: Step) -> Step:
        """Bound the newest token's page anew, or all where older keys are read back otherwise; returns what is read."""
        anew = False
        if self.base is not None:
            step, anew = self.base.add(step)
        if anew:
            self.digest(step.k)
        else:
            self.append(step.k[:, :, -1], step.length)
        return step


@dataclass(frozen=True, kw_only=True)
class Quest(Method[Bounded]):
    """Attends to the pages of `token_budget` tokens, rounded down, the newest token's page competing like any other.

    `keep_last_page` is the released kernels' choice: the newest page always, fewer than three pages if the budget says
    so. `per_query_head` lets each query head choose, as the accuracy code does; here a KV head's group chooses once.
    With base="kivi" the cache is KIVI's of `base_bits` (2), base_group_size (32) and base_residual_length (128): pages
    are bounded by their keys as they are read back, and the chosen ones read as codes.
    """

    about: ClassVar[About] = About(
        title="Quest",
        access="index",
        paper=Paper(
            title="Quest: Query-Aware Sparsity for Efficient Long-Context LLM Inference",
            authors="Jiaming Tang, Yilong Zhao, Kan Zhu, Guangxuan Xiao, Baris Kasikci, Song Han",
            venue="ICML",
            year=2024,
            arxiv="2406.10774",
        ),
        note="one choice per KV head, where the published code makes one per query head",
    )
    excused: ClassVar[dict[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "bounds are over a whole page, of which a window may "
        "have dropped a part",
    }

    token_budget: Size
    page_size: Size = 16
    keep_last_page: bool = False
    per_query_head: bool = False
    dense_layers: DenseLayers = 2
    base: Annotated[Literal["kivi"], Later()] | None = None
    base_bits: Annotated[Literal[2, 4, 8], Later()] | None = None
    base_group_size: Annotated[int, AtLeast(1), Later()] | None = None
    base_residual_length: Annotated[int, AtLeast(1), Later()] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base is None and self._of_base:
            raise InputError(f"Quest has no {' and no '.join(self._of_base)} without a base: set base=kivi")
        self._kivi  # noqa: B018  a base that cannot be is refused with the others

    @property
    def owns_cache(self) -> bool:
        """Return True where the cache is quantised."""
        return self.base is not None

    @property
    def resolved(self) -> Self:
        """Return the method with the knobs of its base as numbers."""
        kivi = self._kivi
        if kivi is None:
            return self
        sizes = kivi.group_size, kivi.residual_length
        return replace(self, base_bits=kivi.bits, base_group_size=sizes[0], base_residual_length=sizes[1])

    @property
    def pages(self) -> int:
        """Count the pages that a choice takes."""
        return max(1 if self.keep_last_page else MIN_PAGES, self.token_budget // self.page_size)

    def start(self, prefix: LayerPrefix) -> Bounded:
        """Bound the prompt's pages."""
        return Bounded(prefix, self.page_size, self._kivi)

    def attend(self, step: Step, state: Bounded) -> Tensor:
        """Bound the newest token's page anew, score all, attend exactly to the best."""
        n, step = step.length, state.add(step)
        scores = (state.score if self.per_query_head else state.score_of_group)(step.q, n)
        if self.keep_last_page:
            last = state.pages.newest(n)[0][:, None, None, None]
            scores = scores.scatter(3, last.expand(*scores.shape[:3], 1), torch.inf)
        chosen = best_pages(step, state.pages, scores, self.pages)
        if self.measured:
            kept = tokens_of(state.pages, chosen, n) & step.mask[:, :, None]
            self._note(step, state, kept.any(2))
        if self.per_query_head:
            return attend_where(step, kept)
        return attend_to(step, *state.pages.columns(chosen.squeeze(2), n))[0]

    @property
    def measured(self) -> bool:
        """Return True where the data decides how far query heads agree, or how many tokens are read as codes."""
        return self.per_query_head or self.base is not None

    def meter(self, state: Bounded) -> Meter | None:
        """Return what was moved, where it was counted."""
        return state.meter if self.measured else None

    def _note(self, step: Step, state: Bounded, union: Tensor) -> None:
        """Note the bits of a step in which each KV head read a union of tokens, [B, H, N]."""
        _, h, n, d = step.k.shape
        at = LayerAt(n, d, prompt=n)
        pages = (step.mask.sum((1, 2)) + self.page_size - 1) // self.page_size
        read = union.sum((1, 2)) * at.newest if state.base is None else state.base.bits_of(union, d)
        state.meter.note(read + h * (pages * at.newest + self._written(at)))

    def cost(self, at: LayerAt) -> Cost:
        """Count two rows for each page's bounds, the chosen pages whole, and the newest token's bounds as written.

        Where each query head chooses, no two are taken to choose the same page: a bound.
        """
        choices, kivi = at.group if self.per_query_head else 1, self._kivi
        bounds, chosen = at.tokens(-(-at.n // self.page_size)), min(at.n, choices * self.pages * self.page_size)
        attend = at.tokens(chosen) if kivi is None else planned_bits(kivi, at, chosen, self.page_size)
        held = at.cache if kivi is None else kivi.cost(at).held
        return Cost(choose=bounds, attend=attend, write=self._written(at), held=held + bounds)

    def scored(self, at: LayerAt) -> float:
        """Count the pages."""
        return -(-at.n // self.page_size)

    def state_elements(self, at: LayerAt) -> float:
        """Count the bounds, and the quantised cache where there is one."""
        codes = 0 if self._kivi is None else self._kivi.state_elements(at)
        return codes + self.cost(at).choose / ELEMENT

    def _written(self, at: LayerAt) -> float:
        """Count the newest token and the bounds of its page; over a base codes too, and bounds of keys become codes."""
        kivi = self._kivi
        return 2 * at.newest if kivi is None else kivi.cost(at).write + at.newest * (1 + 1 / self.page_size)

    @property
    def _of_base(self) -> dict[str, int]:
        """Return the knobs of the base that are set, by their names."""
        names = ("base_bits", "base_group_size", "base_residual_length")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def _kivi(self) -> KIVI | None:
        """Return the base."""
        knobs: dict[str, Any] = {name.removeprefix("base_"): value for name, value in self._of_base.items()}
        return None if self.base is None else KIVI(**{"bits": 2, **knobs})

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve the number of pages; `page_size` stays as it is, and bounds the ratio that can be reached."""
        given = without_null({**fixed, "token_budget": None})
        size = given.get("page_size", cls.page_size)
        least = 1 if given.get("keep_last_page") else MIN_PAGES
        return largest_knob(
            lambda token_budget: cls(**given, token_budget=token_budget // size * size),
            "token_budget",
            (least * size, -(-budget.tokens // size) * size),
            budget,
        )
