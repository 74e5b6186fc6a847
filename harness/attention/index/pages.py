"""Cuts the tokens of each row into pages, and scores a page from a digest of its keys, without reading them.

Pages are counted from a row's first live token, so that a left-padded row has the pages of the unpadded one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.selection import top_newest
from harness.attention.step import LayerPrefix, Step


class Pages:
    """Names the columns of each page of `size` tokens: page j of a row begins at its column first + j size."""

    def __init__(self, first: Tensor, size: int) -> None:
        self.first, self.size = first, size
        self._oldest = int(first.min())

    def count(self, n: int) -> int:
        """Count the pages of the longest row at n cached columns."""
        return -(-(n - self._oldest) // self.size)

    def newest(self, n: int) -> tuple[Tensor, Tensor]:
        """Return the page that the newest of n columns lies in, and how many of its tokens are older, each [B]."""
        position = n - 1 - self.first
        return position // self.size, position % self.size

    def seen(self, mask: Tensor) -> Tensor:
        """Return which pages hold a token of mask [B, 1, N], as [B, 1, pages]; a row sees its newest tokens."""
        n = mask.shape[-1]
        begin = self._begin(n)
        last = (begin + self.size).clamp(max=n) - 1
        return mask.gather(2, last[:, None]) & (begin < n)[:, None]

    def columns(self, page: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Return the columns of pages [B, H, M]: index and live [B, H, M size], dead behind the newest of n."""
        within = torch.arange(self.size, device=page.device)
        index = (self.first[:, None, None, None] + page[..., None] * self.size + within).flatten(2)
        return index.clamp(max=n - 1), index < n

    def tokens(self, kept: Tensor, n: int) -> Tensor:
        """Spread what is kept of pages [B, H, X, pages] to their tokens, [B, H, X, N]; padding is not kept."""
        position = torch.arange(n, device=kept.device) - self.first[:, None]
        page = (position.clamp(min=0) // self.size)[:, None, None]
        return kept.gather(3, page.expand(*kept.shape[:3], -1)) & (position >= 0)[:, None, None]

    def cut(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Cut x [B, H, N, D] into [B, H, pages, size, D], with which entries are live, [B, 1, pages, size, 1]."""
        n = x.shape[2]
        within = torch.arange(self.size, device=x.device)
        column = self._begin(n)[..., None] + within
        index = column.clamp(max=n - 1).flatten(1)[:, None, :, None]
        rows = x.gather(2, index.expand(-1, x.shape[1], -1, x.shape[3]))
        return rows.unflatten(2, (-1, self.size)), (column < n)[:, None, :, :, None]  # type: ignore[no-untyped-call]

    def _begin(self, n: int) -> Tensor:
        """Return the first column of each page, [B, pages]."""
        return self.first[:, None] + torch.arange(self.count(n), device=self.first.device) * self.size


class Digests:
    """Holds two numbers per page, KV head and channel, hi and -lo: table [B, H, pages, 2D], zero where there is none.

    A page scores sum_c max(q_c hi_c, q_c lo_c): with lo <= hi that is one product, of the table with (q+, q-).
    """

    def __init__(self, pages: Pages, prefix: LayerPrefix) -> None:
        self.pages = pages
        b, h, s, d = prefix.k.shape
        self.table = prefix.k.new_zeros(b, h, pages.count(s + prefix.decode_steps), 2 * d)

    def score(self, q: Tensor, n: int) -> Tensor:
        """Score the pages at n columns for unscaled q [B, H, G, D], as [B, H, G, pages]."""
        return halves(q) @ self._so_far(n)

    def score_of_group(self, q: Tensor, n: int) -> Tensor:
        """Sum the scores over the group, [B, H, 1, pages], with the queries summed first: as many products as one."""
        return halves(q).sum(2, keepdim=True) @ self._so_far(n)

    def _so_far(self, n: int) -> Tensor:
        return self.table[:, :, : self.pages.count(n)].transpose(2, 3)


class Bounds(Digests):
    """Digests each page by the largest and the least entry of its keys: a bound on what any of them can score."""

    def __init__(self, prefix: LayerPrefix, size: int) -> None:
        super().__init__(Pages(prefix.first, size), prefix)
        self.digest(prefix.k)

    def digest(self, k: Tensor) -> None:
        """Bound all pages anew by keys [B, H, N, D]."""
        keys, live = self.pages.cut(k)
        most, least = (torch.where(live, side, -torch.inf).amax(3) for side in (keys, -keys))
        self.table[:, :, : most.shape[2]] = torch.cat((most, least), -1).masked_fill(~live.any(3), 0)

    def append(self, key: Tensor, n: int) -> None:
        """Widen the bounds of the page that the newest of n tokens lies in by its key [B, H, D]."""
        page, older = self.pages.newest(n)
        row = torch.arange(len(page), device=page.device)
        own = torch.cat((key, -key), -1)
        wider = torch.maximum(self.table[row, :, page], own)
        self.table[row, :, page] = torch.where((older == 0)[:, None, None], own, wider)


def halves(q: Tensor) -> Tensor:
    """Split queries into what is above and what is below zero, [..., 2D], both as positive numbers."""
    return torch.cat((q.clamp(min=0), (-q).clamp(min=0)), -1)


def best_pages(step: Step, pages: Pages, scores: Tensor, count: int) -> Tensor:
    """Return the `count` best pages by scores [B, H, X, pages], as [B, H, X, M]; ties go to the newest.

    Pages that a window hides come last. A row of fewer pages is filled up with some that hold no token.
    """
    return top_newest(scores.masked_fill(~pages.seen(step.mask)[:, :, None], -torch.inf), count)


def tokens_of(pages: Pages, chosen: Tensor, n: int) -> Tensor:
    """Return which of n columns lie in the chosen pages [B, H, X, M], as [B, H, X, N] bool."""
    kept = chosen.new_zeros(*chosen.shape[:3], pages.count(n), dtype=torch.bool)
    return pages.tokens(kept.scatter(3, chosen, value=True), n)
