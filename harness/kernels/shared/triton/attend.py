"""Computes exact attention over a window and an index of tokens, for every method. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.combine import finish, whole_mass
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import attend_blocks, attend_newest, nothing, query_rows


@triton.jit
def share_of(part, parts, count, block: tl.constexpr):
    """Return a part's first and end entry of `count`, in whole blocks but for the last."""
    per_part = tl.cdiv(tl.cdiv(count, parts), block) * block
    begin = part * per_part
    return begin, tl.minimum(begin + per_part, count)


@triton.jit
def entries_of(part, parts, live, window, listed, block: tl.constexpr, keep_logits: tl.constexpr):
    """Return how many entries are in the window, and a part's first and end entry, at `live` tokens of a row."""
    near = tl.minimum(window, live)
    count = near + (listed if keep_logits else tl.minimum(listed, live - near))
    begin, end = share_of(part, parts, count, block)
    return near, begin, end


@triton.jit
def store_part(
    partial, bests, masses, helds, program, output, best, mass, held,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr,
):  # fmt: skip
    """Store a part's sums for combine_kernel: partial [.., g, d] and bests, masses and helds [.., g]."""
    row = tl.arange(0, rows)
    column = tl.arange(0, width)[None, :]
    tl.store(partial + (program * g + row[:, None]) * d + column, output, mask=(row < g)[:, None] & (column < d))
    tl.store(bests + program * g + row, best, mask=row < g)
    tl.store(masses + program * g + row, mass, mask=row < g)
    tl.store(helds + program * g + row, held, mask=row < g)


@triton.jit
def leave(
    output, best, mass, out, partial, bests, masses, helds, program, head,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, many: tl.constexpr,
):  # fmt: skip
    """Store the output [rows, width] of attention to all that counts; with `many`, a part's sums for combine_kernel."""
    held = tl.zeros([rows], tl.float32)
    if many:
        store_part(partial, bests, masses, helds, program, output, best, mass, held, g, rows, d, width)
    else:
        finish(
            output / mass[:, None], held, held, out, out + head * g * d, 1, tl.arange(0, rows), tl.arange(0, width), d,
            g, False, False,
        )  # fmt: skip


@triton.jit
def attend_kernel(
    q, k, v, index, starts, stops,  # the query, the cache and the chosen columns
    masked, temperature,  # the query of approximate logits
    peak, total, given,  # the softmax mass of all tokens, and of the kept ones
    v_sum, out, logit,
    partial, bests, masses, helds,  # what a part leaves for combine_kernel
    k_b, k_h, k_n, v_b, v_h, v_n,  # strides of k and v
    heads, parts, measured, window, listed, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    newest: tl.constexpr, keep_logits: tl.constexpr, many: tl.constexpr,
    share: tl.constexpr, approximate: tl.constexpr, known: tl.constexpr, mix: tl.constexpr, pad_chunks: tl.constexpr,
    stages: tl.constexpr, ahead: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Attend exactly from q [B, H, g, d] to the newest `window` tokens and index [B, H, listed]. Grid [B * H * parts].

    Only as many entries of the index count as the row has live tokens older than the window; with `keep_logits`, all
    that are no padding. With `share` the output is scaled by the share of the softmax mass that is kept, relative to
    peak and total [B, H, measured, g]: the kept mass is `known` (given [B, H, g]), or summed from `approximate` logits
    (masked [B, H, g, d], temperature [B, H, g]), or from exact ones. With `many`, each part stores its sums
    (store_part) for combine_kernel. With `ahead`, the launch before writes nothing but the choice and what is `known`,
    and the window's whole blocks do not wait for it.
    """
    if not ahead:
        follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    near, begin, end = entries_of(part, parts, stop - start, window, listed, block, keep_logits)
    k += (head // heads).to(tl.int64) * k_b + (head % heads).to(tl.int64) * k_h
    v += (head // heads).to(tl.int64) * v_b + (head % heads).to(tl.int64) * v_h
    index += head.to(tl.int64) * listed
    logit += head.to(tl.int64) * g * listed
    row = tl.arange(0, rows)
    top = tl.zeros([rows], tl.float32)
    whole = top
    factor = top
    query = query_rows(q + head * g * d, g, rows, d, width)
    sparse = query
    if share and not known:
        top, whole = whole_mass(peak, total, head, measured, row, g, pad_chunks)
    if approximate:
        factor = tl.load(temperature + head * g + row, mask=row < g, other=0.0)
        sparse = query_rows(masked + head * g * d, g, rows, d, width)
    output, best, mass, held = nothing(rows, width)
    if newest:  # noqa: SIM102  settled when the kernel is compiled, the condition within only when it runs
        if begin == 0:
            output, best, mass, held = attend_newest(
                query, sparse, k, v, factor, top, stop, scale, k_n, v_n, rows, d, width, approximate
            )
            begin += 1
    if ahead:
        settled = begin + tl.maximum(tl.minimum(near, end) - begin, 0) // block * block
        output, best, mass, held = attend_blocks(
            output, best, mass, held, query, sparse, k, v, factor, top, index, logit, start, stop, near, begin, settled,
            scale, k_n, v_n, listed, g, rows, d, width, block, keep_logits, approximate, stages,
        )  # fmt: skip
        begin = settled
        follow(overlap)
    output, best, mass, held = attend_blocks(
        output, best, mass, held, query, sparse, k, v, factor, top, index, logit, start, stop, near, begin, end,
        scale, k_n, v_n, listed, g, rows, d, width, block, keep_logits, approximate, stages,
    )  # fmt: skip
    if known:
        _, whole = whole_mass(peak, total, head, measured, row, g, pad_chunks)
        held = tl.load(given + head * g + row, mask=row < g, other=0.0)
        held = tl.where(part == 0, held, 0.0)  # parts are summed up
    elif share and not approximate:
        held = mass * tl.exp(best - top)
    if many:
        store_part(partial, bests, masses, helds, program, output, best, mass, held, g, rows, d, width)
    else:
        finish(
            output / mass[:, None], held, whole, v_sum + head * d, out + head * g * d, stop - start, row,
            tl.arange(0, width), d, g, share, mix,
        )  # fmt: skip
