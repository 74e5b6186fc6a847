"""Exact attention over a window and an index of tokens: the one kernel behind every method. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_combine import finish
from harness.kernels.jit_launch import follow


@triton.jit
def products(query, key, g: tl.constexpr):
    """query [rows, width] times key [block, width] -> [rows, block] in float32; a single row needs no tensor core."""
    if g == 1:
        return tl.sum(key.to(tl.float32) * query.to(tl.float32), 1)[None, :]
    return tl.dot(query, tl.trans(key), input_precision="ieee")


@triton.jit
def mixtures(weight, value, g: tl.constexpr):
    """weight [rows, block] times value [block, width] -> [rows, width] in float32."""
    if g == 1:
        return tl.sum(tl.sum(weight, 0)[:, None] * value.to(tl.float32), 0)[None, :]
    return tl.dot(weight.to(value.dtype), value, input_precision="ieee")


@triton.jit
def entries(index, first, end, window, stop, block: tl.constexpr):
    """Tokens [block] of the entries from `first` on (the newest ones, then the index), and which are real."""
    entry = first + tl.arange(0, block)
    valid = entry < end
    listed = tl.load(index + entry - window, mask=valid & (entry >= window), other=0)
    return tl.where(entry < window, stop - 1 - entry, listed).to(tl.int64), valid


@triton.jit
def attend_tokens(
    q, k, v, index, logit, start, stop, window, begin, end, scale, k_n, v_n, listed,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    newest: tl.constexpr, keep_logits: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Online softmax over entries begin..end-1: the `window` newest tokens (the newest first), then index [listed].

    Returns the unnormalised output [rows, width], the largest logit [rows] and the sum of exp [rows]. With `newest`,
    entry 0 starts the recurrence by itself, so that SparQ's k + 1 tokens take k / block blocks and not one more. With
    `keep_logits` entries before `start` are dead: nothing of them is read, and their logit is -inf.
    """
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    inside = (column < d)[None, :]
    query = tl.load(q + row[:, None] * d + column[None, :], mask=(row < g)[:, None] & inside, other=0.0)
    best = tl.full([rows], -float("inf"), tl.float32)
    mass = tl.zeros([rows], tl.float32)
    output = tl.zeros([rows, width], tl.float32)
    if newest:  # noqa: SIM102  settled when the kernel is compiled, the condition within only when it runs
        if begin == 0:
            at = (stop - 1).to(tl.int64)
            last_key = tl.load(k + at * k_n + column[None, :], mask=inside, other=0.0)
            last_value = tl.load(v + at * v_n + column[None, :], mask=inside, other=0.0)
            best = tl.sum(query.to(tl.float32) * last_key.to(tl.float32), 1) * scale
            mass += 1.0
            output += last_value.to(tl.float32)
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
        higher = tl.maximum(best, tl.max(logits, 1))
        shift = higher
        if keep_logits:  # a block may hold dead entries only
            shift = tl.where(higher > -float("inf"), higher, 0.0)
        weight = tl.exp(logits - shift[:, None])
        shrink = tl.exp(best - shift)
        mass = mass * shrink + tl.sum(weight, 1)
        output = output * shrink[:, None] + mixtures(weight, value, g)
        best = higher
    return output, best, mass


@triton.jit
def attend_kernel(
    q, k, v, index, starts, stops, alpha, v_sum, out, logit, partial, peak, total,
    k_b, k_h, k_n, v_b, v_h, v_n, heads, parts, window, listed, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    newest: tl.constexpr, keep_logits: tl.constexpr, many: tl.constexpr, share: tl.constexpr, mix: tl.constexpr,
    stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * parts]: exact attention of q [B, H, g, d] over the newest `window` tokens and index [B, H, listed].

    Only as many entries of the index count as the row has live tokens older than the window; with `keep_logits`, all
    that are live. With `many`, each part leaves partial [B, H, parts, g, d], peak and total [B, H, parts, g] for
    combine_kernel.
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
    output, best, mass = attend_tokens(
        q + head * g * d, k, v, index, logit, start, stop, near, begin, end, scale, k_n, v_n, listed,
        g, rows, d, width, block, newest, keep_logits, stages,
    )  # fmt: skip
    row = tl.arange(0, rows)
    column = tl.arange(0, width)
    if many:
        inside = (row < g)[:, None] & (column < d)[None, :]
        tl.store(partial + program * g * d + row[:, None] * d + column[None, :], output, mask=inside)
        tl.store(peak + program * g + row, best, mask=row < g)
        tl.store(total + program * g + row, mass, mask=row < g)
    else:
        output = output / mass[:, None]
        finish(
            output, alpha + head * g, v_sum + head * d, out + head * g * d, stop - start, row, column, d, g, share, mix
        )
