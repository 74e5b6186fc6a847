"""Sums what each token of a prompt receives of all queries' softmax weights. Importing this file needs Triton.

Logits are counted in powers of two: `scale` is the softmax scale times log2(e). A block of queries meets a block of
keys in every step; only where the two are the same tokens does causality hide any.
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl


@triton.jit
def rows_of(x, first, s, stride, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr):
    """Load rows first .. first + block - 1 of x [s, d] as [block, width], with zeros beyond."""
    row = first + tl.arange(0, block)
    column = tl.arange(0, width)
    inside = (row < s)[:, None] & (column < d)[None, :]
    return tl.load(x + row[:, None].to(tl.int64) * stride + column[None, :], mask=inside, other=0.0)


@triton.jit
def seen_logits(
    query, key, row, column, live, s, scale, causal: tl.constexpr, padded: tl.constexpr
):  # fmt: skip
    """Return logits [rows, columns] of queries at `row` and keys at `column`; -inf where the key is not seen.

    Blocks of older keys are seen whole (not `causal`), but for padding, where live [s] is 0.
    """
    logits = tl.dot(query, tl.trans(key), input_precision="ieee") * scale
    if causal:
        logits = tl.where((row[:, None] >= column[None, :]) & (column < s)[None, :], logits, -float("inf"))
    if padded:
        seen = tl.load(live + column, mask=column < s, other=0) != 0
        logits = tl.where(seen[None, :], logits, -float("inf"))
    return logits


@triton.jit
def with_mass2(best, mass, logits):
    """Add logits [rows, columns] to the largest logit [rows] and the sum of powers of two [rows]."""
    higher = tl.maximum(best, tl.max(logits, 1))
    shift = tl.where(higher > -float("inf"), higher, 0.0)
    return higher, mass * tl.exp2(best - shift) + tl.sum(tl.exp2(logits - shift[:, None]), 1)


@triton.jit
def log_mass_kernel(
    q, k, live, log_mass, q_b, q_h, q_n, k_b, k_h, k_n, heads, s, scale,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr, padded: tl.constexpr,
):  # fmt: skip
    """Write log_mass [B, H, g, S], the log2 of the mass of a query's logits; inf if it sees nothing or is padding.

    Grid [S / block, B * H * g].
    """
    head = tl.program_id(1)
    batch = (head // (heads * g)).to(tl.int64)
    inner = head % (heads * g)
    first = tl.program_id(0) * block
    row = first + tl.arange(0, block)
    live += batch * s
    k += batch * k_b + (inner // g).to(tl.int64) * k_h
    query = rows_of(q + batch * q_b + inner.to(tl.int64) * q_h, first, s, q_n, d, width, block)
    best = tl.full([block], -float("inf"), tl.float32)
    mass = tl.zeros([block], tl.float32)
    for begin in range(0, first, block):
        key = rows_of(k, begin, s, k_n, d, width, block)
        logits = seen_logits(query, key, row, begin + tl.arange(0, block), live, s, scale, False, padded)
        best, mass = with_mass2(best, mass, logits)
    key = rows_of(k, first, s, k_n, d, width, block)
    best, mass = with_mass2(best, mass, seen_logits(query, key, row, row, live, s, scale, True, padded))
    seen = mass > 0
    if padded:
        seen = seen & (tl.load(live + row, mask=row < s, other=0) != 0)
    found = tl.where(seen, best + tl.log2(tl.where(mass > 0, mass, 1.0)), float("inf"))
    tl.store(log_mass + head.to(tl.int64) * s + row, found, mask=row < s)


@triton.jit
def received_kernel(
    q, k, live, log_mass, received, q_b, q_h, q_n, k_b, k_h, k_n, heads, s, scale,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr, padded: tl.constexpr,
):  # fmt: skip
    """Write received [B, H, S], the weights that each key receives, summed over queries, averaged over g.

    Grid [S / block, B * H]. Queries beyond the prompt and padding have an infinite mass, so that they give nothing.
    """
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    inner = head % heads
    first = tl.program_id(0) * block
    token = first + tl.arange(0, block)
    live += batch * s
    key = rows_of(k + batch * k_b + inner.to(tl.int64) * k_h, first, s, k_n, d, width, block)
    weights = tl.zeros([block, block], tl.float32)  # summed up once: every sum over queries is a barrier
    for member in range(g):
        of = q + batch * q_b + (inner * g + member).to(tl.int64) * q_h
        masses = log_mass + (head * g + member).to(tl.int64) * s
        query = rows_of(of, first, s, q_n, d, width, block)
        mass = tl.load(masses + token, mask=token < s, other=float("inf"))
        logits = seen_logits(query, key, token, token, live, s, scale, True, False)
        weights += tl.exp2(logits - mass[:, None])
        for begin in range(first + block, s, block):
            row = begin + tl.arange(0, block)
            query = rows_of(of, begin, s, q_n, d, width, block)
            mass = tl.load(masses + row, mask=row < s, other=float("inf"))
            weights += tl.exp2(seen_logits(query, key, row, token, live, s, scale, False, False) - mass[:, None])
    total = tl.sum(weights, 0) / g
    if padded:
        total = tl.where(tl.load(live + token, mask=token < s, other=0) != 0, total, 0.0)
    tl.store(received + head.to(tl.int64) * s + token, total, mask=token < s)
