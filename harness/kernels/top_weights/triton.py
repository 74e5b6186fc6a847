"""Computes logits from row-major K, and softmax weights of stored logits. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import whole_mass, with_mass
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.scores import store_scores
from harness.kernels.shared.triton.softmax import products


@triton.jit
def row_logits_kernel(
    q, k, temperature, starts, stops, score, largest, peak, total, k_b, k_h, k_n, heads, parts, columns, groups,
    per_part, window, scale, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    block: tl.constexpr, of: tl.constexpr, sparse: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Compute the logits of all tokens from row-major K, and their mass. Grid [B * H * parts].

    Writes peak and total [B, H, parts, g], and score, the logits [B, H, g, columns]. Each part covers per_part columns
    (a multiple of block). With `sparse`, q is masked, its products have a temperature [B, H, g], and their sum over the
    group goes to score [B, H, columns] and largest [B, H, groups] (store_scores).
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
            store_scores(
                score + head.to(tl.int64) * columns, largest + head.to(tl.int64) * groups, tl.sum(logits, 0), begin,
                columns, groups, start, stop - window, of,
            )  # fmt: skip
        else:
            target = score + (head * g + row[:, None]).to(tl.int64) * columns + token[None, :]
            tl.store(target, logits, mask=(row < g)[:, None] & (token < columns)[None, :])
        logits = tl.where(live[None, :], logits, -float("inf"))
        best, mass = with_mass(best, mass, logits)
    tl.store(peak + program * g + row, best, mask=row < g)
    tl.store(total + program * g + row, mass, mask=row < g)


@triton.jit
def weigh_kernel(
    logit, peak, total, starts, stops, score, largest, heads, parts, columns, groups, per_part,
    g: tl.constexpr, rows: tl.constexpr, block: tl.constexpr, of: tl.constexpr, pad: tl.constexpr,
    heaviest: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Sum softmax weights over the group: score [B, H, columns] and largest (store_scores). Grid [B * H * parts].

    With `heaviest`, a score is the logarithm of the largest weight instead. The weights are of logit
    [B, H, g, columns], whose mass is in peak and total [B, H, parts, g].
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    row = tl.arange(0, rows)
    top, whole = whole_mass(peak, total, head, parts, row, g, pad)
    log_whole = tl.log(whole)
    score += head.to(tl.int64) * columns
    largest += head.to(tl.int64) * groups
    logit += head.to(tl.int64) * g * columns
    first = program % parts * per_part
    end = tl.minimum(first + per_part, stop)
    for begin in range(tl.maximum(first, start // block * block), end, block):
        token = begin + tl.arange(0, block)
        inside = (row < g)[:, None] & (token < columns)[None, :]
        logits = tl.load(logit + row[:, None].to(tl.int64) * columns + token[None, :], mask=inside, other=0.0)
        weight = logits - top[:, None] - log_whole[:, None]
        if heaviest:
            weight = tl.max(tl.where((row < g)[:, None], weight, -float("inf")), 0)
        else:  # nothing to fuse with the sum: ties stay ties
            weight = tl.sum(tl.where((row < g)[:, None], tl.exp(weight), 0.0), 0)
        store_scores(score, largest, weight, begin, columns, groups, start, stop, of)
