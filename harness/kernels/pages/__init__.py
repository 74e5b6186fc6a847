"""Computes Quest's decode step: bounds the newest page, scores all pages by their bounds, attends to the best."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix
from harness.attention.index.pages import Bounds
from harness.kernels.binding import KernelBinding, LayerKernel
from harness.kernels.labels.score import score_rows
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.parts import Parts
from harness.kernels.shared.tiles import AttendTiles, attend_tiles, logit_rows, power
from harness.methods.selection.quest import Quest


@dataclass(frozen=True)
class BoundedPages:
    """Holds the bounds of a layer's pages of `size` tokens, [B, H, P, 2 D]: greatest entries, least with signs turned.

    Pages of a row are counted from column first [B] int32.
    """

    bounds: Tensor
    first: Tensor
    size: int

    @classmethod
    def of(cls, state: Bounds) -> Self:
        """Take over the bounds of a prompt, which have room for the pages to come."""
        return cls(state.table, state.pages.first.int(), state.pages.size)


@dataclass(frozen=True)
class PageEnds:
    """Names the pages of each row that hold a token in sight, padding .. kv_lengths - 1, [B] int32, for kernels."""

    padding: Tensor
    kv_lengths: Tensor

    @classmethod
    def empty(cls, first: Tensor) -> Self:
        """Allocate them for rows whose first columns are `first` [B]."""
        return cls(torch.empty_like(first), torch.empty_like(first))


@dataclass(frozen=True)
class ChosenPages:
    """Holds chosen pages [B, H, K] int32, to which the newest `window` pages of each row come.

    Where a row has fewer older pages than K, the first entries count.
    """

    columns: Tensor
    window: int
    ends: PageEnds


def attend_to_pages(
    q: Tensor,
    cache: KVCache,
    pages: BoundedPages,
    *,
    count: int,
    keep_last: bool = False,
    scale: float | None = None,
    tiles: AttendTiles | None = None,
) -> Tensor:
    """Attend exactly, [B, H, G, D], to the `count` pages with the highest bounds for q [B, H, G, D].

    With keep_last the newest token's page is one of them. That token must be in the cache already. A step may be
    repeated. The definition is harness/methods/selection/quest.py. Raises InputError where q does not fit the cache.
    """
    check_query(q, cache.k)
    q, (b, h, group, d) = q.contiguous(), q.shape
    chosen = _choose(q, cache, pages, count, int(keep_last))
    tokens = (chosen.window + chosen.columns.shape[2]) * pages.size
    tiles = tiles or attend_tiles(b * h, group, tokens, power(d), processors(q.device))
    return _attend(q, cache, pages, chosen, d**-0.5 if scale is None else scale, tiles)


def _choose(q: Tensor, cache: KVCache, pages: BoundedPages, count: int, window: int) -> ChosenPages:
    """Bound the newest token's page anew, and choose the `count` best, of which the newest `window` are some."""
    from harness.kernels.pages.triton import bound_kernel  # needs Triton

    b, h, group, d = q.shape
    room, longest = pages.bounds.shape[2], -(-cache.longest // pages.size)
    ends, query = PageEnds.empty(pages.first), torch.empty(b, h, 2 * d, dtype=torch.float32, device=q.device)
    bound_kernel[(b * h,)](
        q, cache.k, pages.bounds, query, pages.first, cache.padding, cache.kv_lengths, ends.padding, ends.kv_lengths,
        *cache.k.stride()[:3], h, room, pages.size, g=group, rows=power(group, 1), d=d, width=power(d), num_warps=4,
        **overlap(q.device),
    )  # fmt: skip
    if count == window:
        return ChosenPages(ends.padding.new_empty(b, h, 0), window, ends)
    scores = score_rows(query, pages.bounds, ends, longest, window)
    return ChosenPages(scores.best(ends, min(count - window, longest)), window, ends)


def _attend(
    q: Tensor, cache: KVCache, pages: BoundedPages, chosen: ChosenPages, scale: float, tiles: AttendTiles
) -> Tensor:
    from harness.kernels.pages.triton import attend_pages_kernel  # needs Triton

    b, h, group, d = q.shape
    parts, out = Parts.of(q, tiles.parts), torch.empty_like(q)
    attend_pages_kernel[(b * h * parts.count,)](
        q, cache.k, cache.v, chosen.columns, pages.first, cache.padding, cache.kv_lengths, chosen.ends.padding,
        chosen.ends.kv_lengths, out, *parts.pointers, *cache.k.stride()[:3], *cache.v.stride()[:3], h, parts.count,
        chosen.window, chosen.columns.shape[2], scale, g=group, rows=logit_rows(group), d=d, width=power(d),
        block=tiles.block, size=pages.size, many=parts.count > 1, stages=tiles.stages, num_warps=tiles.warps,
        **overlap(q.device),
    )  # fmt: skip
    return parts.combined(cache, out)


def _bind(m: Quest) -> KernelBinding | None:
    if m.measured:  # query heads choose alone, or pages are codes
        return None

    def for_layer(prefix: LayerPrefix) -> LayerKernel:
        pages = BoundedPages.of(m.start(prefix))
        return partial(attend_to_pages, pages=pages, count=m.pages, keep_last=m.keep_last_page)

    return KernelBinding(for_layer)


BINDINGS = {Quest: _bind}
