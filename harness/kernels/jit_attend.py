"""Exact attention over a window and an index of tokens: the one kernel behind every method. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_combine import finish, whole_mass
from harness.kernels.jit_launch import follow
from harness.kernels.jit_products import mixtures, products
from harness.kernels.jit_rank import merge_chunks


@triton.jit
def entries(index, first, end, window, stop, block: tl.constexpr):
    """Tokens [block] of the entries from `first` on (the newest ones, then the index), and which are real."""
    entry = first + tl.arange(0, block)
    valid = entry < end
    listed = tl.load(index + entry - window, mask=valid & (entry >= window), other=0)
    return tl.where(entry < window, stop - 1 - entry, listed).to(tl.int64), valid


@triton.jit
def attend_tokens(
    q, k, v, masked, factor, top, index, logit, start, stop, window, begin, end, scale, k_n, v_n, listed,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    newest: tl.constexpr, keep_logits: tl.constexpr, approximate: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Online softmax over entries begin..end-1: the `window` newest tokens (the newest first), then index [listed].

    Returns the unnormalised output [rows, width], the largest logit [rows], the sum of exp [rows] and, if
    `approximate`, that of the approximate logits less top [rows]: products with masked [g, d], times factor [rows].
    With `newest`, entry 0 starts the recurrence by itself, so that SparQ's k + 1 tokens take k / block blocks. With
    `keep_logits` entries before `start` are dead: nothing of them is read, and their logit is -inf.
    """
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    inside = (column < d)[None, :]
    part = (row < g)[:, None] & inside
    query = tl.load(q + row[:, None] * d + column[None, :], mask=part, other=0.0)
    if approximate:
        sparse = tl.load(masked + row[:, None] * d + column[None, :], mask=part, other=0.0)
    best = tl.full([rows], -float("inf"), tl.float32)
    mass = tl.zeros([rows], tl.float32)
    held = tl.zeros([rows], tl.float32)
    output = tl.zeros([rows, width], tl.float32)
    if newest:  # noqa: SIM102  settled when the kernel is compiled, the condition within only when it runs
        if begin == 0:
            at = (stop - 1).to(tl.int64)
            last_key = tl.load(k + at * k_n + column[None, :], mask=inside, other=0.0).to(tl.float32)
            last_value = tl.load(v + at * v_n + column[None, :], mask=inside, other=0.0)
            best = tl.sum(query.to(tl.float32) * last_key, 1) * scale
            mass += 1.0
            output += last_value.to(tl.float32)
            if approximate:
                held += tl.exp(tl.sum(sparse.to(tl.float32) * last_key, 1) * factor - top)
            begin += 1
    for first in tl.range(begin, end, block, num_stages=stages):
        token, valid = entries(index, first, end, window, stop, block)
        real = valid
        if keep_logits:
            valid = valid & (token >= start)
        live = valid[:, None] & inside
        key = tl.load(k + token[:, None] * k_n + column[None, :], mask=live, other=0.0)
        value = tl.load(v + token[:, None] * v_n + column[None, :], mask=live, other=0.0)
        logits = tl.where(valid[None, :], products(query, key, g) * scale, -float("inf"))
        if keep_logits:
            where = row[:, None] * listed + (first + tl.arange(0, block))[None, :]
            tl.store(logit + where, logits, mask=(row < g)[:, None] & real[None, :])
        if approximate:
            rough = products(sparse, key, g) * factor[:, None] - top[:, None]
            held += tl.sum(tl.where(valid[None, :], tl.exp(rough), 0.0), 1)
        higher = tl.maximum(best, tl.max(logits, 1))
        shift = higher
        if keep_logits:  # a block may hold dead entries only
            shift = tl.where(higher > -float("inf"), higher, 0.0)
        weight = tl.exp(logits - shift[:, None])
        shrink = tl.exp(best - shift)
        mass = mass * shrink + tl.sum(weight, 1)
        output = output * shrink[:, None] + mixtures(weight, value, g)
        best = higher
    return output, best, mass, held


@triton.jit
def attend_kernel(
    q, k, v, index, starts, stops, position, key, masked, temperature, peak, total, given, v_sum, out, logit,
    partial, bests, masses, helds, k_b, k_h, k_n, v_b, v_h, v_n, heads, parts, chunks, measured, copies, window, listed,
    scale, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    newest: tl.constexpr, keep_logits: tl.constexpr, many: tl.constexpr, share: tl.constexpr,
    approximate: tl.constexpr, known: tl.constexpr, mix: tl.constexpr, pad_chunks: tl.constexpr, chunk: tl.constexpr,
    candidates: tl.constexpr, stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * parts]: exact attention of q [B, H, g, d] over the newest `window` tokens and index [B, H, listed].

    Only as many entries of the index count as the row has live tokens older than the window; with `keep_logits`, all
    that are live. With `candidates`, the index is first merged from so many at most (merge_chunks). With `share` the
    output is scaled by the softmax mass of what is kept, relative to peak and total [B, H, measured, g]: by mass that
    is `known` (given [B, H, g]), by `approximate` logits (masked [B, H, copies, g, d], temperature [B, H, copies, g]),
    or by exact ones. With `many`, each part leaves partial [B, H, parts, g, d] and bests, masses and helds
    [B, H, parts, g] for combine_kernel.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    near = tl.minimum(window, stop - start)
    count = near + (listed if keep_logits else tl.minimum(listed, stop - start - near))
    per_part = tl.cdiv(tl.cdiv(count, parts), block) * block
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    begin = part * per_part
    end = tl.minimum(begin + per_part, count)
    k += batch * k_b + inner * k_h
    v += batch * v_b + inner * v_h
    index += head * listed
    logit += head * g * listed
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    top = tl.zeros([rows], tl.float32)
    whole = top
    factor = top
    if candidates > 0:
        first = head * chunks * listed
        merge_chunks(position + first, key + first, index, start, stop, chunks, window, listed, chunk, candidates)
        tl.debug_barrier()
    if share:
        top, whole = whole_mass(peak, total, head, measured, row, g, pad_chunks)
    if approximate:
        factor = tl.load(temperature + head * copies * g + row, mask=row < g, other=0.0)
    output, best, mass, held = attend_tokens(
        q + head * g * d, k, v, masked + head * copies * g * d, factor, top, index, logit, start, stop, near,
        begin, end, scale, k_n, v_n, listed, g, rows, d, width, block, newest, keep_logits, approximate, stages,
    )  # fmt: skip
    if known:
        held = tl.load(given + head * g + row, mask=row < g, other=0.0)
        held = tl.where(part == 0, held, 0.0)  # parts are summed up
    elif share and not approximate:
        held = mass * tl.exp(best - top)
    if many:
        inside = (row < g)[:, None] & (column < d)[None, :]
        tl.store(partial + program * g * d + row[:, None] * d + column[None, :], output, mask=inside)
        tl.store(bests + program * g + row, best, mask=row < g)
        tl.store(masses + program * g + row, mass, mask=row < g)
        tl.store(helds + program * g + row, held, mask=row < g)
    else:
        finish(
            output / mass[:, None], held, whole, v_sum + head * d, out + head * g * d, stop - start, row, column,
            d, g, share, mix,
        )  # fmt: skip
