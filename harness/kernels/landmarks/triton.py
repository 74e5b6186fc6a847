"""Attends to chosen chunks by rebuilt keys, beside tokens that are exact. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.attend import leave, share_of
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import add_tokens, nothing, products, query_rows


@triton.jit
def column_of(index, number, exact, entry, chosen, listed, first, tail, size: tl.constexpr):
    """Return the columns of entries [block]: chosen chunks' tokens, then exact ones that are listed, then the tail's.

    `chosen` and `listed` count tokens. index are places of chunks whose numbers are number.
    """
    inside = entry < chosen
    chunk = tl.load(number + tl.load(index + entry // size, mask=inside, other=0), mask=inside, other=0)
    place = entry - chosen
    odd = tl.load(exact + place, mask=(place >= 0) & (place < listed), other=0)
    return tl.where(
        inside, first + chunk * size + entry % size, tl.where(place < listed, odd, tail + place - listed)
    ).to(tl.int64)


@triton.jit
def attend_chunks_kernel(
    q, k, v, rebuilt, index, number, counts, exact, exacts, firsts, tails, starts, stops,
    out, partial, bests, masses, helds,
    k_b, k_h, k_n, v_b, v_h, v_n, heads, parts, wanted, chunks, odd, prompt, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    size: tl.constexpr, many: tl.constexpr, stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Attend from q [B, H, g, d] to chosen chunks of `size` tokens and to all exact tokens. Grid [B * H * parts].

    index [B, H, wanted] are places of chunks, of which min(wanted, counts[b]) count, number [B, H, chunks] the chunks
    at these places, counted from column firsts[b]. Their keys are rebuilt [B, H, prompt, d]. Exact are the first
    exacts[b] columns of exact [B, H, odd], and tails[b] .. stops[b] - 1. Columns before starts[b] are out of sight.
    With `many`, each part stores its sums for combine_kernel.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    first = tl.load(firsts + batch)
    tail = tl.load(tails + batch)
    start = tl.load(starts + batch)
    chosen = tl.minimum(wanted, tl.load(counts + batch)) * size
    listed = tl.load(exacts + batch)
    count = chosen + listed + tl.load(stops + batch) - tail
    k += batch * k_b + inner * k_h
    v += batch * v_b + inner * v_h
    rebuilt += head.to(tl.int64) * prompt * d
    index += head.to(tl.int64) * wanted
    number += head.to(tl.int64) * chunks
    exact += head.to(tl.int64) * odd
    column = tl.arange(0, width)[None, :]
    query = query_rows(q + head * g * d, g, rows, d, width)
    output, best, mass, _ = nothing(rows, width)
    begin, end = share_of(program % parts, parts, count, block)
    for of in tl.range(begin, end, block, num_stages=stages):
        entry = of + tl.arange(0, block)
        token = column_of(index, number, exact, entry, chosen, listed, first, tail, size)
        valid = (entry < end) & (token >= start)
        live = valid[:, None] & (column < d)
        keys = tl.where((entry < chosen)[:, None], rebuilt + token[:, None] * d, k + token[:, None] * k_n)
        key = tl.load(keys + column, mask=live, other=0.0)
        value = tl.load(v + token[:, None] * v_n + column, mask=live, other=0.0)
        logits = tl.where(valid[None, :], products(query, key, g) * scale, -float("inf"))
        output, best, mass = add_tokens(output, best, mass, logits, value, g, True)
    leave(output, best, mass, out, partial, bests, masses, helds, program, head, g, rows, d, width, many)
