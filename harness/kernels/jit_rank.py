"""Logits from row-major K, the best tokens by stored scores, and the merge of chunks. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_combine import whole_mass, with_mass
from harness.kernels.jit_launch import follow
from harness.kernels.jit_products import products
from harness.kernels.jit_score import store_older
from harness.kernels.jit_select import choose, slots


@triton.jit
def row_logits_kernel(
    q, k, temperature, starts, stops, score, peak, total, k_b, k_h, k_n, heads, parts, columns, per_part,
    scale, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    block: tl.constexpr, sparse: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * parts]: logits of all tokens from row-major K -> peak and total [B, H, parts, g], and score.

    Each part covers per_part columns (a multiple of block). score is the logits [B, H, g, columns]. With `sparse`, q is
    masked, its products have a temperature [B, H, g], and score is their sum over the group [B, H, columns].
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
    source, peak, total, starts, stops, position, key, rough, heads, chunks, parts, columns, window, want,
    g: tl.constexpr, rows: tl.constexpr, chunk: tl.constexpr, pad: tl.constexpr, by_weight: tl.constexpr,
    room: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks]: the best tokens of a chunk -> position and key [B, H, chunks, want], by scores `source`.

    source is [B, H, columns]; with `by_weight` it is logits [B, H, g, columns], and the score their softmax weights
    summed over the group. rough [.., 2, room] is scratch, one for each program.
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
    position += program * want
    key += program * want
    store_older(position, key, rough + program * 2 * room, score, token, begin, start, stop, window, want, room, True)


@triton.jit
def merge_chunks(
    position, key, index, start, stop, chunks, window, want, chunk: tl.constexpr, candidates: tl.constexpr
):  # fmt: skip
    """Write to index [want] the best of what one KV head's chunks chose: position and key [chunks, want]."""
    entry = tl.arange(0, candidates)
    each = tl.maximum(want, 1)
    begin = entry // each * chunk
    older = tl.minimum(stop - window, begin + chunk) - tl.maximum(start, begin)
    valid = (entry < chunks * want) & (entry % each < tl.minimum(want, older))
    token = tl.load(position + entry, mask=valid, other=-1)
    score = tl.load(key + entry, mask=valid, other=-float("inf"))
    wanted = tl.maximum(tl.minimum(want, stop - window - start), 0)
    chosen = choose(score, token, wanted, stop) & valid
    tl.store(index + slots(chosen), token, mask=chosen)


@triton.jit
def merge_kernel(
    position, key, index, starts, stops, heads, chunks, window, want,
    chunk: tl.constexpr, candidates: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H]: index [B, H, want], the best of all chunks."""
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    first = head * chunks * want
    merge_chunks(
        position + first, key + first, index + head * want, start, stop, chunks, window, want, chunk, candidates
    )
