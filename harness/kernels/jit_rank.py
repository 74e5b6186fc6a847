"""Logits from row-major K, the best tokens by stored scores, and the merge of chunks. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_channels import largest_channels, mask_query
from harness.kernels.jit_combine import whole_mass
from harness.kernels.jit_launch import follow
from harness.kernels.jit_products import products
from harness.kernels.jit_score import choose_older
from harness.kernels.jit_select import choose, slots


@triton.jit
def row_logits_kernel(
    q, k, masked, temperature, starts, stops, score, peak, total, k_b, k_h, k_n, heads, parts, columns, per_part,
    scale, r, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    block: tl.constexpr, sparse: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * parts]: logits of all tokens from row-major K -> peak and total [B, H, parts, g], and score.

    Each part covers per_part columns (a multiple of block). score is the logits [B, H, g, columns]; with `sparse`,
    logits are approximate, from the r largest channels, and score is their sum over the group [B, H, columns].
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
    if sparse:
        masked += program * g * d
        temperature += program * g
        mask_query(q, largest_channels(q, r, g, d, width), masked, temperature, scale, g, d, width)
        tl.debug_barrier()
        query = tl.load(masked + row[:, None] * d + column[None, :], mask=inside, other=0.0)
        factor = tl.load(temperature + row, mask=row < g, other=0.0)
    else:
        query = tl.load(q + row[:, None] * d + column[None, :], mask=inside, other=0.0)
        factor = tl.where(row < g, scale, 0.0)
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
        higher = tl.maximum(best, tl.max(logits, 1))
        shift = tl.where(higher > -float("inf"), higher, 0.0)
        mass = mass * tl.exp(best - shift) + tl.sum(tl.exp(logits - shift[:, None]), 1)
        best = higher
    tl.store(peak + program * g + row, best, mask=row < g)
    tl.store(total + program * g + row, mass, mask=row < g)


@triton.jit
def choose_kernel(
    source, peak, total, starts, stops, position, key, heads, chunks, parts, columns, window, want,
    g: tl.constexpr, rows: tl.constexpr, chunk: tl.constexpr, pad: tl.constexpr, by_weight: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks]: the best tokens of a chunk by scores `source` [B, H, columns].

    With `by_weight`, source is logits [B, H, g, columns], and the score their softmax weights summed over the group,
    which goes to key [B, H, columns].
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // chunks
    begin = (program % chunks) * chunk
    token = begin + tl.arange(0, chunk)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    live = (token >= start) & (token < stop)
    if by_weight:
        row = tl.arange(0, rows)
        where = (head * g + row[:, None]).to(tl.int64) * columns + token[None, :]
        logits = tl.load(source + where, mask=(row < g)[:, None] & live[None, :], other=0.0)
        top, whole = whole_mass(peak, total, head, parts, row, g, pad)
        weight = tl.exp(logits - top[:, None]) / whole[:, None]
        score = tl.sum(tl.where((row < g)[:, None], weight, 0.0), 0)
        tl.store(key + head.to(tl.int64) * columns + token, score, mask=live)
    else:
        score = tl.load(source + head.to(tl.int64) * columns + token, mask=live, other=0.0)
    choose_older(score, token, begin, start, stop, window, want, position + program * want)


@triton.jit
def merge_chunks(
    position, key, index, head, start, stop, chunks, columns, window, want,
    chunk: tl.constexpr, candidates: tl.constexpr,
):  # fmt: skip
    """Write to index [want] the best of what one KV head's chunks chose: position [B, H, chunks, want] by their key."""
    entry = tl.arange(0, candidates)
    each = tl.maximum(want, 1)
    begin = entry // each * chunk
    older = tl.minimum(stop - window, begin + chunk) - tl.maximum(start, begin)
    valid = (entry < chunks * want) & (entry % each < tl.minimum(want, older))
    token = tl.load(position + head * chunks * want + entry, mask=valid, other=-1)
    score = tl.load(key + head.to(tl.int64) * columns + token, mask=valid, other=-float("inf"))
    wanted = tl.maximum(tl.minimum(want, stop - window - start), 0)
    chosen = choose(score, token, wanted, stop) & valid
    tl.store(index + slots(chosen), token, mask=chosen)


@triton.jit
def merge_kernel(
    position, key, index, starts, stops, heads, chunks, columns, window, want,
    chunk: tl.constexpr, candidates: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H]: index [B, H, want], the best of all chunks."""
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    merge_chunks(
        position, key, index + head * want, head, start, stop, chunks, columns, window, want, chunk, candidates
    )
