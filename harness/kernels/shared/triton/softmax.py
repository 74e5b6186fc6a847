"""Sums an online softmax over a window of the newest tokens and an index of others. Importing this file needs Triton.

Entries are numbered: first the `window` newest tokens, the newest first, then those of the index. The sums, for `rows`
query heads: `output` [rows, width], not normalised; `best` [rows], the largest logit; `mass` [rows], the sum of exp;
and, if `approximate`, `held` [rows], the sum of exp of the approximate logits less top [rows]: products with `sparse`,
times factor [rows].
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl


@triton.jit
def products(query, key, g: tl.constexpr):
    """Multiply query [rows, width] with key [block, width] -> [rows, block] float32; one row needs no tensor core."""
    if g == 1:
        return tl.sum(key.to(tl.float32) * query.to(tl.float32), 1)[None, :]
    return tl.dot(query, tl.trans(key), input_precision="ieee")


@triton.jit
def mixtures(weight, value, g: tl.constexpr):
    """Multiply weight [rows, block] with value [block, width] -> [rows, width] float32."""
    if g == 1:
        return tl.sum(tl.sum(weight, 0)[:, None] * value.to(tl.float32), 0)[None, :]
    return tl.dot(weight.to(value.dtype), value, input_precision="ieee")


@triton.jit
def nothing(rows: tl.constexpr, width: tl.constexpr):
    """Return the sums over no entries."""
    best = tl.full([rows], -float("inf"), tl.float32)
    return tl.zeros([rows, width], tl.float32), best, tl.zeros([rows], tl.float32), tl.zeros([rows], tl.float32)


@triton.jit
def query_rows(q, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr):
    """Load q [g, d] as [rows, width], with zeros beyond."""
    row = tl.arange(0, rows)[:, None]
    column = tl.arange(0, width)[None, :]
    return tl.load(q + row * d + column, mask=(row < g) & (column < d), other=0.0)


@triton.jit
def entries(index, first, end, window, stop, block: tl.constexpr):
    """Return the tokens [block] of the entries from `first` on, and which of them are before `end`."""
    entry = first + tl.arange(0, block)
    valid = entry < end
    listed = tl.load(index + entry - window, mask=valid & (entry >= window), other=0)
    return tl.where(entry < window, stop - 1 - entry, listed).to(tl.int64), valid


@triton.jit
def attend_newest(
    query, sparse, k, v, factor, top, stop, scale, k_n, v_n, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
    approximate: tl.constexpr,
):  # fmt: skip
    """Return the sums over entry 0 alone; it is taken by itself so that SparQ's k + 1 tokens need k / block blocks."""
    column = tl.arange(0, width)[None, :]
    at = (stop - 1).to(tl.int64)
    key = tl.load(k + at * k_n + column, mask=column < d, other=0.0).to(tl.float32)
    value = tl.load(v + at * v_n + column, mask=column < d, other=0.0)
    output, best, mass, held = nothing(rows, width)
    best = tl.sum(query.to(tl.float32) * key, 1) * scale
    if approximate:
        held += tl.exp(tl.sum(sparse.to(tl.float32) * key, 1) * factor - top)
    return output + value.to(tl.float32), best, mass + 1.0, held


@triton.jit
def add_tokens(output, best, mass, logits, value, g: tl.constexpr, empty: tl.constexpr):
    """Add tokens of logits [rows, block], -inf where there is none, and values [block, width] to the sums.

    `empty` says that there may be none in the block, and none before.
    """
    higher = tl.maximum(best, tl.max(logits, 1))
    shift = higher
    if empty:
        shift = tl.where(higher > -float("inf"), higher, 0.0)
    weight = tl.exp(logits - shift[:, None])
    shrink = tl.exp(best - shift)
    mass = mass * shrink + tl.sum(weight, 1)
    return output * shrink[:, None] + mixtures(weight, value, g), higher, mass


@triton.jit
def add_columns(
    output, best, mass, query, k, v, token, valid, seen, scale, k_n, v_n, g: tl.constexpr, d: tl.constexpr,
    width: tl.constexpr,
):  # fmt: skip
    """Add the tokens in columns `token` [block] to the sums: those `valid` are read, and count where `seen`.

    seen [1 or rows, block]; there may be no such token.
    """
    column = tl.arange(0, width)[None, :]
    live = valid[:, None] & (column < d)
    key = tl.load(k + token[:, None] * k_n + column, mask=live, other=0.0)
    value = tl.load(v + token[:, None] * v_n + column, mask=live, other=0.0)
    logits = tl.where(seen, products(query, key, g) * scale, -float("inf"))
    return add_tokens(output, best, mass, logits, value, g, True)


@triton.jit
def attend_blocks(
    output, best, mass, held, query, sparse, k, v, factor, top, index, logit, start, stop, window, begin, end, scale,
    k_n, v_n, listed, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    keep_logits: tl.constexpr, approximate: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Add entries begin .. end - 1 to the sums; the index is [listed].

    With `keep_logits`, entries before `start` are padding, which is not read, and their logit [g, listed] is -inf.
    """
    row = tl.arange(0, rows)
    column = tl.arange(0, width)[None, :]
    rough_mass = tl.zeros([rows, block], tl.float32)  # summed up once: every sum over a block is a barrier
    for first in tl.range(begin, end, block, num_stages=stages):
        token, valid = entries(index, first, end, window, stop, block)
        real = valid
        if keep_logits:
            valid = valid & (token >= start)
        live = valid[:, None] & (column < d)
        key = tl.load(k + token[:, None] * k_n + column, mask=live, other=0.0)
        value = tl.load(v + token[:, None] * v_n + column, mask=live, other=0.0)
        logits = tl.where(valid[None, :], products(query, key, g) * scale, -float("inf"))
        if keep_logits:
            where = row[:, None] * listed + (first + tl.arange(0, block))[None, :]
            tl.store(logit + where, logits, mask=(row < g)[:, None] & real[None, :])
        if approximate:
            rough = products(sparse, key, g) * factor[:, None] - top[:, None]
            rough_mass += tl.where(valid[None, :], tl.exp(rough), 0.0)
        # with keep_logits, a block may hold padding only
        output, best, mass = add_tokens(output, best, mass, logits, value, g, keep_logits)
    if approximate:
        held += tl.sum(rough_mass, 1)
    return output, best, mass, held


@triton.jit
def attend_entries(
    query, sparse, k, v, factor, top, index, start, stop, window, count, scale, k_n, v_n, g: tl.constexpr,
    rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr, newest: tl.constexpr,
    approximate: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Return the sums over all entries: a window, which is not empty if `newest`, and index [count].

    Of the index as many entries count as the row has tokens older than the window.
    """
    near = tl.minimum(window, stop - start)
    end = near + tl.minimum(count, stop - start - near)
    output, best, mass, held = nothing(rows, width)
    if newest:
        output, best, mass, held = attend_newest(
            query, sparse, k, v, factor, top, stop, scale, k_n, v_n, rows, d, width, approximate
        )
    first: tl.constexpr = 1 if newest else 0
    return attend_blocks(
        output, best, mass, held, query, sparse, k, v, factor, top, index, index, start, stop, near, first, end, scale,
        k_n, v_n, count, g, rows, d, width, block, False, approximate, stages,
    )  # fmt: skip
