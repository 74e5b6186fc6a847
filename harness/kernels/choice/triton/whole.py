"""Chooses tokens among scores that one program holds. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.select import choose, places


@triton.jit
def whole_kernel(
    score, starts, stops, index, heads, columns, window, count, pad: tl.constexpr, overlap: tl.constexpr
):  # fmt: skip
    """Write index [B, H, count], the columns older than the window with the largest score [B, H, columns].

    Grid [B * H].
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    limit = tl.maximum(tl.load(stops + head // heads) - window, start)
    token = tl.arange(0, pad)
    listed = (token >= start) & (token < limit)
    value = tl.load(score + head.to(tl.int64) * columns + token, mask=listed, other=-float("inf"))
    best = choose(value, token, tl.minimum(count, limit - start), limit) & listed
    tl.store(index + head.to(tl.int64) * count + places(best), token, mask=best)
