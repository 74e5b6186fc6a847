"""Computes Quest: pages of tokens, of which those are read whose keys could score best.

Each page is bounded per channel by the least and the largest entry of its rotated keys (paper, algorithm 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_to, attend_where
from harness.attention.index.pages import Bounds, best_pages, tokens_of
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.exemption import DenseLayers
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["Quest"]

MIN_PAGES = 3
"""Pages that the released accuracy code reads at least."""


class Bounded(Bounds):
    """Holds a layer's bounds, and the bits moved where query heads choose for themselves."""

    def __init__(self, prefix: LayerPrefix, size: int) -> None:
        super().__init__(prefix, size)
        self.meter = Meter()


@dataclass(frozen=True, kw_only=True)
class Quest(Method[Bounded]):
    """Attends to the pages of `token_budget` tokens, rounded down, the newest token's page competing like any other.

    `keep_last_page` is the released kernels' choice: the newest page always, fewer than three pages if the budget says
    so. `per_query_head` lets each query head choose, as the accuracy code does; here a KV head's group chooses once.
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

    @property
    def pages(self) -> int:
        """Count the pages that a choice takes."""
        return max(1 if self.keep_last_page else MIN_PAGES, self.token_budget // self.page_size)

    def start(self, prefix: LayerPrefix) -> Bounded:
        """Bound the prompt's pages."""
        return Bounded(prefix, self.page_size)

    def attend(self, step: Step, state: Bounded) -> Tensor:
        """Bound the newest token's page anew, score all, attend exactly to the best."""
        n = step.length
        state.append(step.k[:, :, -1], n)
        scores = (state.score if self.per_query_head else state.score_of_group)(step.q, n)
        if self.keep_last_page:
            last = state.pages.newest(n)[0][:, None, None, None]
            scores = scores.scatter(3, last.expand(*scores.shape[:3], 1), torch.inf)
        chosen = best_pages(step, state.pages, scores, self.pages)
        if not self.per_query_head:
            return attend_to(step, *state.pages.columns(chosen.squeeze(2), n))[0]
        kept = tokens_of(state.pages, chosen, n) & step.mask[:, :, None]
        self._note(step, state, kept.any(2).sum(2))
        return attend_where(step, kept)

    @property
    def measured(self) -> bool:
        """Return True where query heads choose for themselves: how far their choices agree depends on the data."""
        return self.per_query_head

    def meter(self, state: Bounded) -> Meter | None:
        """Return what was moved, where it was counted."""
        return state.meter if self.measured else None

    def _note(self, step: Step, state: Bounded, union: Tensor) -> None:
        """Note the bits of a step in which each KV head read a union of tokens, [B, H]."""
        tokens = step.mask.sum((1, 2))[:, None]
        pages = (tokens + self.page_size - 1) // self.page_size
        state.meter.note((union + pages + 2) * LayerAt(1, step.k.shape[3], prompt=1).newest)

    def cost(self, at: LayerAt) -> Cost:
        """Count two rows for each page's bounds, the chosen pages whole, and the newest token's bounds as written.

        Where each query head chooses, no two are taken to choose the same page: a bound.
        """
        choices = at.group if self.per_query_head else 1
        bounds = at.tokens(-(-at.n // self.page_size))
        return Cost(
            choose=bounds,
            attend=at.tokens(min(at.n, choices * self.pages * self.page_size)),
            write=2 * at.newest,
            held=at.cache + bounds,
        )

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
