"""Chooses a few tokens by way of groups of neighbours. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import bound, choose, places


@triton.jit
def span(start, limit, of: tl.constexpr):
    """Return the first and the end of the groups of `of` neighbours that hold the columns start .. limit - 1."""
    begin = start // of
    return begin, tl.where(limit > start, tl.cdiv(limit, of), begin)


@triton.jit
def maxima(largest, start, limit, of: tl.constexpr, pad: tl.constexpr):
    """Load largest [pad], the largest scores of groups; -inf for those without a column of start .. limit - 1."""
    group = tl.arange(0, pad)
    begin, end = span(start, limit, of)
    return tl.load(largest + group, mask=(group >= begin) & (group < end), other=-float("inf"))


@triton.jit
def shortlist(top, count, most: tl.constexpr):
    """Return a mask of groups that hold the `count` best columns, `most` at most, and a score that these reach.

    top [pad] are the groups' largest scores; `count` of them are larger than -inf. More than `count` groups are taken
    where that ends the search early.
    """
    group = tl.arange(0, top.shape[0])
    least = bound(top, count, most)
    chosen = (top >= least) & (top > -float("inf"))
    if tl.sum(chosen.to(tl.int32), 0) > most:
        chosen = choose(top, group, count, top.shape[0] - 1)
    return chosen, least


@triton.jit
def pick(score, top, listed, index, start, limit, count, picked: tl.constexpr, of: tl.constexpr):
    """Write index [count], the columns of start .. limit - 1 with the largest score [columns], oldest first.

    The best `count` columns lie in the best `count` groups of `of` neighbours by their largest score (`maxima`): one of
    another group comes after `count` columns, one of each of these. Such groups pass through listed [picked]. score is
    read for these columns only. The program may read what this writes once it returns.
    """
    begin, end = span(start, limit, of)
    some = tl.minimum(count, end - begin)
    chosen, least = shortlist(top, some, picked)
    tl.store(listed + places(chosen), tl.arange(0, top.shape[0]), mask=chosen)
    tl.debug_barrier()
    place = tl.arange(0, picked)
    inside = place < tl.sum(chosen.to(tl.int32), 0)
    group = tl.load(listed + place, mask=inside, other=0)
    token = tl.reshape(group[:, None] * of + tl.arange(0, of)[None, :], [picked * of])
    free = tl.reshape(inside[:, None] & (tl.arange(0, of) >= 0)[None, :], [picked * of])
    free = free & (token >= start) & (token < limit)
    value = tl.load(score + token, mask=free, other=-float("inf"))
    least = tl.where(some == count, least, -float("inf"))  # otherwise fewer columns may reach it
    best = choose(value, token, tl.minimum(count, limit - start), limit, least) & free
    tl.store(index + places(best), token, mask=best)
    tl.debug_barrier()


@triton.jit
def pick_kernel(
    score, largest, starts, stops, listed, index, heads, columns, groups, window, count,
    pad: tl.constexpr, picked: tl.constexpr, of: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Write index [B, H, count], the columns older than the window with the best score [B, H, columns]. Grid [B * H].

    largest [B, H, groups] are the largest scores of `of` neighbours; listed [B, H, picked] is the kernel's own.
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    limit = tl.maximum(tl.load(stops + head // heads) - window, start)
    top = maxima(largest + head.to(tl.int64) * groups, start, limit, of, pad)
    score += head.to(tl.int64) * columns
    pick(score, top, listed + head * picked, index + head.to(tl.int64) * count, start, limit, count, picked, of)
