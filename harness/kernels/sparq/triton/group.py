"""Scores tokens for groups of query heads on tensor cores: SparQ, step 2. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import with_mass
from harness.kernels.shared.triton.launch import follow


@triton.jit
def group_score_kernel(
    kt, packed, channel, temperature, starts, stops, score, peak, total,
    kt_b, kt_h, kt_d, capacity, heads, chunks, columns,
    r: tl.constexpr, ranks: tl.constexpr, g: tl.constexpr, rows: tl.constexpr,
    tile: tl.constexpr, tiles: tl.constexpr, stages: tl.constexpr, covered: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Score `tiles` tiles of tokens of K stored channel-major, for a group of query heads. Grid [B * H * chunks].

    The logits' sum over the group goes to score [B, H, columns], their mass to peak and total [B, H, chunks, g]. The
    query at its channels is prepared: packed [B, H, g, r], channel [B, H, r], temperature [B, H, g].
    """
    program = tl.program_id(0)
    follow(overlap)
    head = program // chunks
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    packed += head * g * r
    channel += head * r
    kt += (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h
    score += head.to(tl.int64) * columns
    row = tl.arange(0, rows)
    rank = tl.arange(0, ranks)
    some = (row < g)[:, None] & (rank < r)[None, :]
    query = tl.load(packed + row[:, None] * r + rank[None, :], mask=some, other=0.0).to(kt.dtype.element_ty)
    at = kt + tl.load(channel + rank, mask=rank < r, other=0)[:, None] * kt_d
    factor = tl.load(temperature + head * g + row, mask=row < g, other=0.0)
    best = tl.full([rows], -float("inf"), tl.float32)
    mass = tl.zeros([rows], tl.float32)
    first = (program % chunks) * tiles * tile
    end = tl.minimum(first + tiles * tile, stop)
    for begin in tl.range(first, end, tile, num_stages=stages):
        token = begin + tl.arange(0, tile)
        within = (rank < r)[:, None]
        if not covered:
            within = within & (token < capacity)[None, :]
        key = tl.load(at + token[None, :], mask=within, other=0.0)
        logits = tl.dot(query, key, input_precision="ieee") * factor[:, None]
        tl.store(score + token, tl.sum(logits, 0), mask=token < columns)
        logits = tl.where(((token >= start) & (token < stop))[None, :], logits, -float("inf"))
        best, mass = with_mass(best, mass, logits)
    tl.store(peak + program * g + row, best, mask=row < g)
    tl.store(total + program * g + row, mass, mask=row < g)
