"""Scores labels by their products with a query. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.scores import store_scores


@triton.jit
def score_labels_kernel(
    query, label, starts, stops, score, largest, heads, parts, room, columns, groups, per_part, window,
    r: tl.constexpr, width: tl.constexpr, block: tl.constexpr, of: tl.constexpr, stages: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Multiply label [B, H, room, r] with query [B, H, r]: score [B, H, columns] and largest. Grid [B * H * parts].

    Labels starts[b] .. stops[b] - 1 are read. Each part covers per_part of them, a multiple of block.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    column = tl.arange(0, width)
    asked = tl.load(query + head * r + column, mask=column < r, other=0.0)[None, :]
    label += head.to(tl.int64) * room * r
    score += head.to(tl.int64) * columns
    largest += head.to(tl.int64) * groups
    begin = program % parts * per_part
    end = tl.minimum(begin + per_part, stop)
    for first in tl.range(tl.maximum(begin, start // block * block), end, block, num_stages=stages):
        entry = first + tl.arange(0, block)
        live = ((entry >= start) & (entry < stop))[:, None] & (column < r)[None, :]
        found = tl.load(label + entry.to(tl.int64)[:, None] * r + column[None, :], mask=live, other=0.0)
        value = tl.sum(found.to(tl.float32) * asked, 1)
        store_scores(score, largest, value, first, columns, groups, start, stop - window, of)
