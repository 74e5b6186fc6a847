"""Chooses a few tokens by way of groups of neighbours. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import choose, places


@triton.jit
def best_groups(largest, begin, end, count, pad: tl.constexpr):
    """Return a mask [pad] of the `count` groups with the largest scores among begin .. end - 1; newest win ties."""
    group = tl.arange(0, pad)
    top = tl.load(largest + group, mask=(group >= begin) & (group < end), other=-float("inf"))
    return choose(top, group, count, pad - 1)


@triton.jit
def pick_kernel(
    score, largest, starts, stops, index, heads, columns, groups, window, count,
    pad: tl.constexpr, picked: tl.constexpr, of: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Write index [B, H, count], the columns with the largest score [B, H, columns]. Grid [B * H].

    The best `count` tokens lie in the best `count` groups of `of` neighbours by their largest score [B, H, groups]: a
    token of another group comes after `count` tokens, one of each of these. Of the row's tokens those older than the
    window may be chosen; score and largest are read for these only.
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    limit = tl.maximum(tl.load(stops + head // heads) - window, start)
    score += head.to(tl.int64) * columns
    largest += head.to(tl.int64) * groups
    index += head.to(tl.int64) * count
    begin = start // of
    end = tl.where(limit > start, tl.cdiv(limit, of), begin)
    some = tl.minimum(count, end - begin)
    chosen = best_groups(largest, begin, end, some, pad)
    tl.store(index + places(chosen), tl.arange(0, pad), mask=chosen)
    tl.debug_barrier()
    place = tl.arange(0, picked)
    group = tl.load(index + place, mask=place < some, other=0)
    tl.debug_barrier()  # all have read the groups before tokens take their places
    token = tl.reshape(group[:, None] * of + tl.arange(0, of)[None, :], [picked * of])
    listed = tl.reshape((place < some)[:, None] & (tl.arange(0, of) >= 0)[None, :], [picked * of])
    listed = listed & (token >= start) & (token < limit)
    value = tl.load(score + token, mask=listed, other=-float("inf"))
    found = tl.minimum(count, limit - start)
    best = choose(value, token, found, limit) & listed
    tl.store(index + places(best), token, mask=best)
