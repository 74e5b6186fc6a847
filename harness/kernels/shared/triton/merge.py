"""Merges what the programs of one KV head chose, chunk by chunk, into its best tokens. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import choose, places


@triton.jit
def merge_chunks(
    position, key, index, start, stop, chunks, window, count, chunk: tl.constexpr, candidates: tl.constexpr
):  # fmt: skip
    """Write to index [count] the best of what one KV head's chunks chose: position and key [chunks, count]."""
    entry = tl.arange(0, candidates)
    each = tl.maximum(count, 1)
    begin = entry // each * chunk
    older = tl.minimum(stop - window, begin + chunk) - tl.maximum(start, begin)
    valid = (entry < chunks * count) & (entry % each < tl.minimum(count, older))
    token = tl.load(position + entry, mask=valid, other=-1)
    score = tl.load(key + entry, mask=valid, other=-float("inf"))
    found = tl.maximum(tl.minimum(count, stop - window - start), 0)
    chosen = choose(score, token, found, stop) & valid
    tl.store(index + places(chosen), token, mask=chosen)


@triton.jit
def merge_kernel(
    position, key, index, starts, stops, heads, chunks, window, count,
    chunk: tl.constexpr, candidates: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Write index [B, H, count], the best tokens of all chunks. Grid [B * H]."""
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    first = head * chunks * count
    merge_chunks(
        position + first, key + first, index + head * count, start, stop, chunks, window, count, chunk, candidates
    )
