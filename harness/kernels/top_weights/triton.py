"""Computes logits from row-major K, and chooses the best tokens by stored scores. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import whole_mass, with_mass
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import products
from harness.kernels.shared.triton.store import store_older


@triton.jit
def row_logits_kernel(
    q, k, temperature, starts, stops, score, peak, total, k_b, k_h, k_n, heads, parts, columns, per_part,
    scale, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    block: tl.constexpr, sparse: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Compute the logits of all tokens from row-major K, and their mass. Grid [B * H * parts].

    Writes peak and total [B, H, parts, g], and score, the logits [B, H, g, columns]. Each part covers per_part columns
    (a multiple of block). With `sparse`, q is masked, its products have a temperature [B, H, g], and score is their sum
    over the group [B, H, columns].
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    k += (head // heads).to(tl.int64) * k_b + (head % heads).to(tl.int64) * k_h
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    inside = (row < g)[:, None] & (column < d)[None, :]
    q += head * g * d
    query = tl.load(q + row[:, None] * d + column[None, :], mask=inside, other=0.0)
    factor = tl.where(row < g, scale, 0.0)
    if sparse:
        factor = tl.load(temperature + head * g + row, mask=row < g, other=0.0)
    best = tl.full([rows], -float("inf"), tl.float32)
    mass = tl.zeros([rows], tl.float32)
    end = tl.minimum((part + 1) * per_part, stop)
    for begin in range(tl.maximum(part * per_part, start // block * block), end, block):
        token = begin + tl.arange(0, block)
        live = (token >= start) & (token < stop)
        where = token.to(tl.int64)[:, None] * k_n + column[None, :]
        key = tl.load(k + where, mask=live[:, None] & (column < d)[None, :], other=0.0)
        logits = products(query, key, g) * factor[:, None]
        if sparse:
            tl.store(score + head.to(tl.int64) * columns + token, tl.sum(logits, 0), mask=token < columns)
        else:
            target = score + (head * g + row[:, None]).to(tl.int64) * columns + token[None, :]
            tl.store(target, logits, mask=(row < g)[:, None] & (token < columns)[None, :])
        logits = tl.where(live[None, :], logits, -float("inf"))
        best, mass = with_mass(best, mass, logits)
    tl.store(peak + program * g + row, best, mask=row < g)
    tl.store(total + program * g + row, mass, mask=row < g)


@triton.jit
def choose_kernel(
    source, peak, total, starts, stops, position, key, scratch, heads, chunks, parts, columns, window, count,
    g: tl.constexpr, rows: tl.constexpr, chunk: tl.constexpr, pad: tl.constexpr, by_weight: tl.constexpr,
    slots: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Choose the best tokens of a chunk -> position and key [B, H, chunks, count]. Grid [B * H * chunks].

    The scores are source [B, H, columns]; with `by_weight`, source is logits [B, H, g, columns], and the scores are
    their softmax weights, summed over the group. scratch is [.., 2, slots], one for each program.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // chunks
    begin = (program % chunks) * chunk
    token = begin + tl.arange(0, chunk)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    if by_weight:
        row = tl.arange(0, rows)
        where = (head * g + row[:, None]).to(tl.int64) * columns + token[None, :]
        logits = tl.load(source + where, mask=(row < g)[:, None] & (token < columns)[None, :], other=0.0)
        top, whole = whole_mass(peak, total, head, parts, row, g, pad)
        weight = tl.exp(logits - top[:, None] - tl.log(whole)[:, None])  # nothing to fuse with the sum: ties stay ties
        score = tl.sum(tl.where((row < g)[:, None], weight, 0.0), 0)
    else:
        score = tl.load(source + head.to(tl.int64) * columns + token, mask=token < columns, other=0.0)
    position += program * count
    key += program * count
    scratch += program * 2 * slots
    store_older(position, key, scratch, score, token, begin, start, stop, window, count, slots, True)
