"""Logits from row-major K, the best tokens by stored logits, and the merge of chunks. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_attend import products
from harness.kernels.jit_launch import follow
from harness.kernels.jit_score import emit
from harness.kernels.jit_select import choose, slots


@triton.jit
def row_logits_kernel(
    q, k, temperature, starts, stops, logit, peak, total, k_b, k_h, k_n, heads, parts, columns, per_part,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * parts]: logits [B, H, g, columns] of all tokens from row-major K; largest and sum of exp per part.

    Each part covers per_part columns (a multiple of block). peak, total: [B, H, g, parts].
    """
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    k += (head // heads).to(tl.int64) * k_b + (head % heads).to(tl.int64) * k_h
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    inside = (row < g)[:, None] & (column < d)[None, :]
    query = tl.load(q + (head * g + row[:, None]) * d + column[None, :], mask=inside, other=0.0)
    scale = tl.load(temperature + head * g + row, mask=row < g, other=0.0)
    best = tl.full([rows], -float("inf"), tl.float32)
    mass = tl.zeros([rows], tl.float32)
    end = tl.minimum((part + 1) * per_part, stop)
    for begin in range(tl.maximum(part * per_part, start // block * block), end, block):
        token = begin + tl.arange(0, block)
        live = (token >= start) & (token < stop)
        where = token.to(tl.int64)[:, None] * k_n + column[None, :]
        key = tl.load(k + where, mask=live[:, None] & (column < d)[None, :], other=0.0)
        logits = tl.where(live[None, :], products(query, key, g) * scale[:, None], -float("inf"))
        target = logit + (head * g + row[:, None]).to(tl.int64) * columns + token[None, :]
        tl.store(target, logits, mask=(row < g)[:, None] & (token < columns)[None, :])
        higher = tl.maximum(best, tl.max(logits, 1))
        shift = tl.where(higher > -float("inf"), higher, 0.0)
        mass = mass * tl.exp(best - shift) + tl.sum(tl.exp(logits - shift[:, None]), 1)
        best = higher
    tl.store(peak + (head * g + row) * parts + part, best, mask=row < g)
    tl.store(total + (head * g + row) * parts + part, mass, mask=row < g)


@triton.jit
def choose_kernel(
    source, peaks, totals, starts, stops, position, key, logit, peak, kept, total, alpha,
    heads, chunks, parts, columns, window, want,
    g: tl.constexpr, rows: tl.constexpr, chunk: tl.constexpr, pad: tl.constexpr,
    by_weight: tl.constexpr, many: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks]: the best tokens of a chunk by stored logits `source` [B, H, g, columns].

    Ranked by logits summed over the group, or `by_weight` by softmax weights summed over the group.
    """
    program = tl.program_id(0)
    head = program // chunks
    begin = (program % chunks) * chunk
    token = begin + tl.arange(0, chunk)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    row = tl.arange(0, rows)
    live = (token >= start) & (token < stop)
    where = (head * g + row[:, None]).to(tl.int64) * columns + token[None, :]
    logits = tl.load(source + where, mask=(row < g)[:, None] & live[None, :], other=0.0)
    if by_weight:
        part = tl.arange(0, pad)[None, :]
        inside = (row < g)[:, None] & (part < parts)
        peaks = tl.load(peaks + (head * g + row[:, None]) * parts + part, mask=inside, other=-float("inf"))
        best = tl.where(row < g, tl.max(peaks, 1), 0.0)
        sums = tl.load(totals + (head * g + row[:, None]) * parts + part, mask=inside, other=0.0)
        mass = tl.where(row < g, tl.sum(sums * tl.exp(peaks - best[:, None]), 1), 1.0)
        weight = tl.exp(logits - best[:, None]) / mass[:, None]
        score = tl.sum(tl.where((row < g)[:, None], weight, 0.0), 0)
    else:
        score = tl.sum(logits, 0)
    emit(
        logits, score, token, begin, start, stop, window, want,
        position + program * want, key + head.to(tl.int64) * columns, logit + head.to(tl.int64) * g * columns,
        peak + program * g, kept + program * g, total + program * g, alpha + head * g,
        g, rows, many, True, by_weight or g > 1, columns,
    )  # fmt: skip


@triton.jit
def merge_kernel(
    position, key, logit, peak, kept, total, starts, stops, index, alpha, heads, chunks, columns, window, want,
    g: tl.constexpr, chunk: tl.constexpr, candidates: tl.constexpr, pad: tl.constexpr, mass: tl.constexpr,
    apart: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H]: the best `want` of the candidates of all chunks -> index [B, H, want], alpha [B, H, g].

    Logits are stored only if they are `apart` from the scores; for a group of one in SparQ they are the same.
    """
    follow(overlap)
    head = tl.program_id(0)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    entry = tl.arange(0, candidates)
    each = tl.maximum(want, 1)
    begin = entry // each * chunk
    older = tl.minimum(stop - window, begin + chunk) - tl.maximum(start, begin)
    valid = (entry < chunks * want) & (entry % each < tl.minimum(want, older))
    token = tl.load(position + head * chunks * want + entry, mask=valid, other=-1)
    score = tl.load(key + head.to(tl.int64) * columns + token, mask=valid, other=-float("inf"))
    wanted = tl.maximum(tl.minimum(want, stop - window - start), 0)
    chosen = choose(score, token, wanted, stop) & valid
    tl.store(index + head * want + slots(chosen), token, mask=chosen)
    if mass:
        part = tl.arange(0, pad)
        place = (head * chunks + part) * g
        for i in tl.static_range(g):
            peaks = tl.load(peak + place + i, mask=part < chunks, other=-float("inf"))
            best = tl.max(peaks, 0)
            factor = tl.exp(peaks - best)
            whole = tl.sum(factor * tl.load(total + place + i, mask=part < chunks, other=0.0), 0)
            held = tl.sum(factor * tl.load(kept + place + i, mask=part < chunks, other=0.0), 0)
            lost = score
            if apart:
                lost = tl.load(logit + (head * g + i).to(tl.int64) * columns + token, mask=valid, other=0.0)
            lost = tl.where(valid & (chosen == 0), lost, -float("inf"))
            tl.store(alpha + head * g + i, tl.maximum(held - tl.sum(tl.exp(lost - best), 0), 0.0) / whole)
