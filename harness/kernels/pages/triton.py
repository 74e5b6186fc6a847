"""Bounds pages of keys, and attends to chosen pages. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.attend import leave, share_of
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import add_columns, nothing, query_rows


@triton.jit
def bound_kernel(
    q, k, bounds, query, firsts, starts, stops, page_starts, page_stops, k_b, k_h, k_n, heads, room, size,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Widen the bounds of the newest token's page, of bounds [B, H, room, 2 d], by its key. Grid [B * H].

    Writes query [B, H, 2 d], what of q [B, H, g, d] is above and what is below zero, summed over the group, and the
    pages of each row that hold a token in sight: page_starts[b] .. page_stops[b] - 1. Page 0 begins at firsts[b].
    """
    follow(overlap)
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    first = tl.load(firsts + batch)
    stop = tl.load(stops + batch)
    newest = stop - 1 - first
    if inner == 0:
        tl.store(page_starts + batch, (tl.load(starts + batch) - first) // size)
        tl.store(page_stops + batch, newest // size + 1)
    column = tl.arange(0, width)
    inside = column < d
    asked = query_rows(q + head * g * d, g, rows, d, width).to(tl.float32)
    tl.store(query + head * 2 * d + column, tl.sum(tl.maximum(asked, 0.0), 0), mask=inside)
    tl.store(query + head * 2 * d + d + column, tl.sum(tl.maximum(-asked, 0.0), 0), mask=inside)
    k += batch * k_b + inner * k_h + (stop - 1).to(tl.int64) * k_n
    key = tl.load(k + column, mask=inside, other=0.0).to(tl.float32)
    bounds += (head.to(tl.int64) * room + newest // size) * 2 * d
    alone = newest % size == 0
    most = tl.load(bounds + column, mask=inside, other=0.0).to(tl.float32)
    least = tl.load(bounds + d + column, mask=inside, other=0.0).to(tl.float32)  # with its sign turned
    most = tl.where(alone, key, tl.maximum(most, key))
    least = tl.where(alone, -key, tl.maximum(least, -key))
    tl.store(bounds + column, most.to(bounds.dtype.element_ty), mask=inside)
    tl.store(bounds + d + column, least.to(bounds.dtype.element_ty), mask=inside)


@triton.jit
def tokens_of(index, entry, valid, near, stop, first, size: tl.constexpr):
    """Return the columns of entries [block]: whole pages, the `near` newest first, then those that are listed."""
    place = entry // size
    listed = tl.load(index + place - near, mask=valid & (place >= near), other=0)
    page = tl.where(place < near, stop - 1 - place, listed)
    return first + page * size + entry % size


@triton.jit
def attend_pages_kernel(
    q, k, v, index, firsts, starts, stops, page_starts, page_stops, out, partial, bests, masses, helds,
    k_b, k_h, k_n, v_b, v_h, v_n, heads, parts, window, listed, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    size: tl.constexpr, many: tl.constexpr, stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Attend from q [B, H, g, d] to the newest `window` pages and those of index [B, H, listed]. Grid [B * H * parts].

    Only as many entries of the index count as the row has older pages. Columns outside starts[b] .. stops[b] - 1 are
    out of sight. With `many`, each part stores its sums for combine_kernel.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    first = tl.load(firsts + batch)
    start = tl.load(starts + batch)
    stop = tl.load(stops + batch)
    last = tl.load(page_stops + batch)
    pages = last - tl.load(page_starts + batch)
    near = tl.minimum(window, pages)
    count = (near + tl.minimum(listed, pages - near)) * size
    k += batch * k_b + inner * k_h
    v += batch * v_b + inner * v_h
    index += head.to(tl.int64) * listed
    query = query_rows(q + head * g * d, g, rows, d, width)
    output, best, mass, _ = nothing(rows, width)
    begin, end = share_of(part, parts, count, block)
    for of in tl.range(begin, end, block, num_stages=stages):
        entry = of + tl.arange(0, block)
        token = tokens_of(index, entry, entry < end, near, last, first, size)
        valid = (entry < end) & (token >= start) & (token < stop)
        output, best, mass = add_columns(
            output, best, mass, query, k, v, token.to(tl.int64), valid, valid[None, :], scale, k_n, v_n, g, d, width
        )  # fmt: skip
    leave(output, best, mass, out, partial, bests, masses, helds, program, head, g, rows, d, width, many)
