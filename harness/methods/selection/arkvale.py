"""Computes ArkVale: a cache of pages, in which pages that score high take the place of those that score low.

A page is scored by a box around its keys; all that is cached is attended to, so what is chosen stays for a while.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, are_best, attend_to, attend_to_all, top_newest
from harness.attention.index.boxes import Boxes
from harness.attention.index.pages import Pages
from harness.attention.statistics import LastQueries, Statistic
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt, dense_cost
from harness.methods.exemption import DenseLayers
from harness.methods.knob_types import AtLeast, Count, Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["ArkVale"]


@dataclass
class Recalled:
    """Holds the digests of a layer and which pages are cached, [B, groups, pages] bool."""

    boxes: Boxes
    cached: Tensor


@dataclass(frozen=True)
class Row:
    """Says of each row how many pages it has [B, 1, 1], which it sees [B, 1, pages], and if all of those are cached."""

    count: Tensor
    seen: Tensor
    whole: Tensor

    def middle(self, sinks: int, window: int) -> Tensor:
        """Return which pages are exchanged, [B, 1, pages]: those seen behind the sinks and before the window."""
        number = torch.arange(self.seen.shape[2], device=self.seen.device)
        return self.seen & (number >= sinks) & (number < self.count - window)


@dataclass(frozen=True, kw_only=True)
class ArkVale(Method[Recalled]):
    """Attends to `page_budget` cached pages, of which a step exchanges the worst for the best (released code).

    The first `n_sink_pages` and the last `n_window_pages` stay; `page_topk` counts these (but the newest) and the pages
    that a step wants, and is half of the budget by default. `n_groups` choices are made per layer, at most one per KV
    head. The paper attends to the wanted pages, its code to all that are cached.
    """

    about: ClassVar[About] = About(
        title="ArkVale",
        access="index",
        paper=Paper(
            title="ArkVale: Efficient Generative LLM Inference with Recallable Key-Value Eviction",
            authors="Renze Chen, Zhuofeng Wang, Beiquan Cao, Tong Wu, Size Zheng, Xiuhong Li, Xuechao Wei, "
            "Shengen Yan, Meng Li, Yun Liang",
            venue="NeurIPS",
            year=2024,
        ),
        note="attends to all cached pages as the published code, where the paper has the wanted ones",
    )
    observes: ClassVar[frozenset[Statistic]] = frozenset({LastQueries(1)})
    excused: ClassVar[dict[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "earlier queries chose what is cached, by boxes "
        "around all keys of a page, of which a window may have dropped a part",
    }

    page_budget: Size
    page_size: Size = 32
    page_topk: Size | None = None
    n_sink_pages: Count = 2
    n_window_pages: Annotated[int, AtLeast(2)] = 2
    n_groups: Size = 1
    dense_layers: DenseLayers = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        least, topk = least_budget(self.n_sink_pages, self.n_window_pages), self._topk
        if self.page_budget < least:
            raise InputError(f"ArkVale needs page_budget of at least {least} beside its sinks and window")
        if not self.n_sink_pages + self.n_window_pages <= topk < self.page_budget:
            raise InputError("ArkVale needs page_topk of at least n_sink_pages + n_window_pages, below page_budget")

    @property
    def resolved(self) -> Self:
        """Return the method with the pages that a step wants as a number."""
        return replace(self, page_topk=self._topk)

    @property
    def _topk(self) -> int:
        least = self.n_sink_pages + self.n_window_pages
        return max(self.page_budget // 2, least) if self.page_topk is None else self.page_topk

    def start(self, prefix: LayerPrefix) -> Recalled:
        """Cache the first pages (two at least), the last, and the best between by the prompt's last query."""
        boxes, h, n = Boxes(prefix, self.page_size), prefix.k.shape[1], prefix.k.shape[2]
        groups = min(self.n_groups, h)
        if h % groups:
            raise InputError(f"ArkVale needs n_groups that divides the {h} KV heads of a layer")
        row, sinks = self._rows(boxes.pages, prefix.mask), max(2, self.n_sink_pages)
        q = prefix.statistics[LastQueries(1)].squeeze(3).to(prefix.k.dtype)
        middle = row.middle(sinks, self.n_window_pages)
        scores = boxes.score_of_group(q, n).mean(1).masked_fill(~middle, -torch.inf)
        best = are_best(scores, self.page_budget - sinks - self.n_window_pages) & middle
        ends = row.seen & ~middle
        cached = torch.zeros(len(q), groups, boxes.table.shape[2], dtype=torch.bool, device=q.device)
        cached[:, :, : best.shape[2]] = torch.where(row.whole, row.seen, best | ends)
        return Recalled(boxes, cached)

    def attend(self, step: Step, state: Recalled) -> Tensor:
        """Exchange pages for those that the query wants, then attend exactly to all that are cached."""
        n, pages = step.length, state.boxes.pages
        state.boxes.append(step.k)
        row = self._rows(pages, step.mask)
        cached = state.cached[:, :, : row.seen.shape[2]]
        if pages.count(n) <= self.page_budget:
            cached[:] = row.seen
            return attend_to_all(step)
        scores = state.boxes.score_of_group(step.q, n).float().view(len(cached), cached.shape[1], -1, cached.shape[2])
        opened = pages.newest(n)[1][:, None, None] == 0
        chosen = torch.where(row.whole, self._all(row), self._exchange(row, cached, scores.mean(2), opened))
        cached[:] = torch.zeros_like(cached).scatter(2, chosen.clamp(max=cached.shape[2] - 1), value=True) & row.seen
        index, live = pages.columns(chosen.repeat_interleave(step.k.shape[1] // cached.shape[1], 1), n)
        return attend_to(step, index, live)[0]

    def _rows(self, pages: Pages, mask: Tensor) -> Row:
        """Look at the rows of mask [B, 1, N]."""
        seen = pages.seen(mask)
        count = pages.newest(mask.shape[2])[0] + 1
        return Row(count[:, None, None], seen, seen.sum(2, keepdim=True) <= self.page_budget)

    def _all(self, row: Row) -> Tensor:
        """List the pages of rows that see no more than the budget, [B, 1, budget]; those behind the newest are dead."""
        number = torch.arange(self.page_budget, device=row.seen.device)
        return row.count - row.seen.sum(2, keepdim=True) + number

    def _exchange(self, row: Row, cached: Tensor, scores: Tensor, opened: Tensor) -> Tensor:
        """Return the pages that are cached from now on, [B, groups, budget].

        Between sinks and window those that the query wants come first, then those that are cached, the best first; ties
        go to the newest. A page that leaves the window was evicted before, and may be wanted at once.
        """
        sinks, window = self.n_sink_pages, self.n_window_pages
        middle = row.middle(sinks, window)
        number = torch.arange(scores.shape[2], device=scores.device)
        stay = cached & ~(opened & (number == row.count - 1 - window))
        wanted = are_best(scores.masked_fill(~middle, -torch.inf), self._topk - sinks - window + 1)
        rank = scores.masked_fill(~stay, torch.finfo(scores.dtype).min).masked_fill(wanted, torch.inf)
        best = top_newest(rank.masked_fill(~middle, -torch.inf), self.page_budget - sinks - window)
        last = row.count - window + number[:window]
        return torch.cat([pages.expand(*best.shape[:2], -1) for pages in (number[:sinks], best, last)], -1)

    def cost(self, at: LayerAt) -> Cost:
        """Count the digests of all pages but the last, the cached pages as attended to, a page's digest now and then.

        As dense while all pages are cached. What recalls move between slow and fast memory is not counted; `held` is
        the cache in slow memory, of which `page_budget` pages lie in fast memory too, and the digests.
        """
        full = -(-at.n // self.page_size) - 1
        digests = at.tokens(full)
        if full < self.page_budget:
            return replace(dense_cost(at), held=at.cache + digests)
        last = at.n - full * self.page_size
        attended = (self.page_budget - 1) * self.page_size + last
        return Cost(
            choose=digests,
            attend=at.tokens(attended),
            write=at.newest * (1 + 1 / self.page_size),
            held=at.cache + digests,
        )

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve the pages of the budget; `page_size` stays as it is, and bounds the ratio that can be reached."""
        given = without_null({**fixed, "page_budget": None})
        sinks, window = (given.get(knob, getattr(cls, knob)) for knob in ("n_sink_pages", "n_window_pages"))
        low = max(least_budget(sinks, window), given.get("page_topk", 0) + 1)
        high = -(-budget.tokens // given.get("page_size", cls.page_size))
        return largest_knob(cls, "page_budget", (low, high), budget, **given)


def least_budget(sinks: int, window: int) -> int:
    """Count the pages that a budget must have: two sinks at the prompt's end, and one page that can be exchanged."""
    return max(2, sinks + 1) + window
