"""Chooses the best of what chunks of tokens chose. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import choose, places


@triton.jit
def merge_kernel(
    position, key, starts, stops, index, heads, chunks, window, count,
    chunk: tl.constexpr, candidates: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Write index [B, H, count], the best of position and key [B, H, chunks, count], columns and scores. Grid [B * H].

    A chunk of `chunk` tokens has as many as it has live tokens older than the window, at most.
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    limit = tl.maximum(tl.load(stops + head // heads) - window, start)
    entry = tl.arange(0, candidates)
    each = tl.maximum(count, 1)
    begin = entry // each * chunk
    older = tl.minimum(limit, begin + chunk) - tl.maximum(start, begin)
    valid = (entry < chunks * count) & (entry % each < tl.minimum(count, older))
    first = head.to(tl.int64) * chunks * count
    token = tl.load(position + first + entry, mask=valid, other=-1)
    score = tl.load(key + first + entry, mask=valid, other=-float("inf"))
    best = choose(score, token, tl.minimum(count, limit - start), limit) & valid
    tl.store(index + head.to(tl.int64) * count + places(best), token, mask=best)
