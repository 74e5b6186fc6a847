"""Scores tokens by the chosen channels of K, for groups of query heads: SparQ, step 2. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.scores import store_scores


@triton.jit
def group_logits(
    kt, packed, channel, factor, token, kt_d, capacity, r, read, g: tl.constexpr, rows: tl.constexpr,
    stages: tl.constexpr, covered: tl.constexpr,
):  # fmt: skip
    """Compute logits [rows, tile] at token [1, tile] from the first `read` of r channels of kt, for g query heads.

    A thread holds all heads of its tokens. Naming `stages` makes Triton copy channels ahead into shared memory. Columns
    beyond the live tokens are read too: the mask must not depend on data, or loads shrink to one element. `covered`:
    all tokens are within capacity. factor [rows] turns products into logits.
    """
    row = tl.arange(0, rows)
    total = tl.zeros([rows, token.shape[1]], tl.float32)
    for i in tl.range(0, read, num_stages=stages):
        at = kt + tl.load(channel + i) * kt_d + token
        key = tl.load(at) if covered else tl.load(at, mask=token < capacity, other=0.0)
        query = tl.load(packed + row * r + i, mask=row < g, other=0.0)
        total += query[:, None] * key.to(tl.float32)
    return total * factor[:, None]


@triton.jit
def score_kernel(
    kt, packed, channel, temperature, starts, stops, score, largest, peak, total,
    kt_b, kt_h, kt_d, capacity, heads, chunks, columns, groups, window, r,
    g: tl.constexpr, rows: tl.constexpr, tile: tl.constexpr, of: tl.constexpr, stages: tl.constexpr,
    covered: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Score a tile of tokens of K stored channel-major, for a group of query heads. Grid [B * H * chunks].

    The logits' sum over the group goes to score [B, H, columns] and largest [B, H, groups] (store_scores), their mass
    to peak and total [B, H, chunks, g]. The query at its channels is prepared: packed [B, H, g, r], channel [B, H, r],
    temperature [B, H, g].
    """
    program = tl.program_id(0)
    head = program // chunks
    begin = (program % chunks) * tile
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    follow(overlap)  # lengths are older than the launch before
    row = tl.arange(0, rows)
    factor = tl.load(temperature + head * g + row, mask=row < g, other=0.0)
    read = tl.where((begin < stop) & (begin + tile > start), r, 0)  # a tile without live tokens reads no channel
    kt += (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h
    token = begin + tl.arange(0, tile)[None, :]
    logits = group_logits(
        kt, packed + head * g * r, channel + head * r, factor, token, kt_d, capacity, r, read, g, rows, stages, covered
    )
    score += head.to(tl.int64) * columns
    largest += head.to(tl.int64) * groups
    store_scores(score, largest, tl.sum(logits, 0), begin, columns, groups, start, stop - window, of)
    logits = tl.where((token >= start) & (token < stop), logits, -float("inf"))
    best = tl.max(logits, 1)
    weight = tl.exp(logits - tl.where(best > -float("inf"), best, 0.0)[:, None])
    tl.store(peak + program * g + row, best, mask=row < g)
    tl.store(total + program * g + row, tl.sum(weight, 1), mask=row < g)
