"""Attends exactly to the prompt tokens that are left and to all newer ones. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.attend import leave, share_of
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import add_columns, nothing, query_rows


@triton.jit
def token_of(index, entry, count, prompt, end):
    """Return the columns of entries: the first `count` are listed, those behind them follow the prompt."""
    listed = tl.load(index + entry, mask=entry < tl.minimum(count, end), other=0)
    return tl.where(entry < count, listed, prompt + entry - count).to(tl.int64)


@triton.jit
def attend_left_kernel(
    q, k, v, index, counts, own, starts, stops, out, partial, bests, masses, helds,
    k_b, k_h, k_n, v_b, v_h, v_n, heads, parts, listed, prompt, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    personal: tl.constexpr, many: tl.constexpr, stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Attend from q [B, H, g, d] to what is left, and to columns prompt .. stops[b] - 1. Grid [B * H * parts].

    Of index [B, H, listed] the first counts [B, H] are left; columns before starts[b] are out of sight. If `personal`,
    own [B, H, g, listed] uint8 says which of them are each query head's. With `many`, each part stores its sums for
    combine_kernel.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    start = tl.load(starts + batch)
    stop = tl.load(stops + batch)
    count = tl.load(counts + head)
    k += batch * k_b + inner * k_h
    v += batch * v_b + inner * v_h
    index += head.to(tl.int64) * listed
    own += head.to(tl.int64) * g * listed
    row = tl.arange(0, rows)[:, None]
    query = query_rows(q + head * g * d, g, rows, d, width)
    output, best, mass, _ = nothing(rows, width)
    begin, end = share_of(part, parts, count + stop - prompt, block)
    for first in tl.range(begin, end, block, num_stages=stages):
        entry = first + tl.arange(0, block)
        token = token_of(index, entry, count, prompt, end)
        valid = (entry < end) & (token >= start)
        seen = valid[None, :]
        if personal:
            asked = (row < g) & (entry < count)[None, :]
            seen = seen & (tl.load(own + row * listed + entry[None, :], mask=asked, other=1) != 0)
        output, best, mass = add_columns(
            output, best, mass, query, k, v, token, valid, seen, scale, k_n, v_n, g, d, width
        )  # fmt: skip
    leave(output, best, mass, out, partial, bests, masses, helds, program, head, g, rows, d, width, many)
