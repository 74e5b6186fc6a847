"""Sums what each token of a prompt receives of all queries' softmax weights. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import with_mass


@triton.jit
def causal_logits(
    query, key, row, column, live, s, scale
):  # fmt: skip
    """Return logits [rows, columns] of queries at `row`, keys at `column`; -inf unless both are live, row >= column."""
    seen = (row[:, None] >= column[None, :]) & (row < s)[:, None]
    seen = seen & (tl.load(live + row, mask=row < s, other=0) != 0)[:, None]
    seen = seen & (tl.load(live + column, mask=column < s, other=0) != 0)[None, :]
    return tl.where(seen, tl.dot(query, tl.trans(key), input_precision="ieee") * scale, -float("inf"))


@triton.jit
def log_mass_kernel(
    q, k, live, log_mass, q_b, q_h, q_n, k_b, k_h, k_n, heads, s, scale,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write log_mass [B, H, g, S], the log of the sum of exp of a query's logits; inf if it sees nothing.

    Grid [S / block, B * H * g].
    """
    head = tl.program_id(1)
    batch = (head // (heads * g)).to(tl.int64)
    inner = head % (heads * g)
    column = tl.arange(0, width)
    inside = (column < d)[None, :]
    row = tl.program_id(0) * block + tl.arange(0, block)
    q += batch * q_b + inner.to(tl.int64) * q_h
    k += batch * k_b + (inner // g).to(tl.int64) * k_h
    live += batch * s
    query = tl.load(q + row[:, None].to(tl.int64) * q_n + column[None, :], mask=(row < s)[:, None] & inside, other=0.0)
    best = tl.full([block], -float("inf"), tl.float32)
    mass = tl.zeros([block], tl.float32)
    for begin in range(0, (tl.program_id(0) + 1) * block, block):
        token = begin + tl.arange(0, block)
        where = token[:, None].to(tl.int64) * k_n + column[None, :]
        key = tl.load(k + where, mask=(token < s)[:, None] & inside, other=0.0)
        logits = causal_logits(query, key, row, token, live, s, scale)
        best, mass = with_mass(best, mass, logits)
    seen = tl.where(mass > 0, best + tl.log(tl.where(mass > 0, mass, 1.0)), float("inf"))
    tl.store(log_mass + head.to(tl.int64) * s + row, seen, mask=row < s)


@triton.jit
def received_kernel(
    q, k, live, log_mass, received, q_b, q_h, q_n, k_b, k_h, k_n, heads, s, scale,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Write received [B, H, S], the weights that each key receives, summed over queries, averaged over g.

    Grid [S / block, B * H].
    """
    head = tl.program_id(1)
    batch = (head // heads).to(tl.int64)
    inner = head % heads
    column = tl.arange(0, width)
    inside = (column < d)[None, :]
    token = tl.program_id(0) * block + tl.arange(0, block)
    q += batch * q_b
    live += batch * s
    where = token[:, None].to(tl.int64) * k_n + column[None, :]
    key = tl.load(k + batch * k_b + inner.to(tl.int64) * k_h + where, mask=(token < s)[:, None] & inside, other=0.0)
    total = tl.zeros([block], tl.float32)
    for member in range(g):
        at = q + (inner * g + member).to(tl.int64) * q_h
        for begin in range(tl.program_id(0) * block, s, block):
            row = begin + tl.arange(0, block)
            query = tl.load(
                at + row[:, None].to(tl.int64) * q_n + column[None, :], mask=(row < s)[:, None] & inside, other=0.0
            )
            logits = causal_logits(query, key, row, token, live, s, scale)
            mass = tl.load(log_mass + (head * g + member).to(tl.int64) * s + row, mask=row < s, other=float("inf"))
            total += tl.sum(tl.exp(logits - mass[:, None]), 0)
    tl.store(received + head.to(tl.int64) * s + token, total / g, mask=token < s)
