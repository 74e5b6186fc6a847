"""SparQ, steps 2 and 3: approximate logits and the best tokens of a chunk. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_launch import follow, hold_back
from harness.kernels.jit_select import choose, store_chosen


@triton.jit
def channel_logits(
    kt, packed, channel, temperature, token, kt_d, capacity, read,
    r: tl.constexpr, g: tl.constexpr, rows: tl.constexpr, together: tl.constexpr, stages: tl.constexpr,
    covered: tl.constexpr,
):  # fmt: skip
    """Logits [rows, chunk] at the tokens [1, chunk] from the first `read` chosen channels of kt; rows >= g are 0.

    Naming `stages` makes Triton copy channels ahead into shared memory. Columns beyond the live tokens are read too:
    the mask must not depend on data, or loads shrink to one element. `covered`: all tokens are within capacity.
    """
    row = tl.arange(0, rows)[:, None]
    total = tl.zeros([rows, token.shape[1]], tl.float32)
    for first in tl.range(0, read, together, num_stages=stages):
        for i in tl.static_range(together):
            at = kt + tl.load(channel + first + i) * kt_d + token
            key = tl.load(at) if covered else tl.load(at, mask=token < capacity, other=0.0)
            query = tl.load(packed + row * r + first + i, mask=row < g, other=0.0)
            total += query * key.to(tl.float32)
    return total * tl.load(temperature + row, mask=row < g, other=0.0)


@triton.jit
def emit(
    logits, score, token, begin, start, stop, window, want, position, key, logit, peak, kept, total, alpha,
    g: tl.constexpr, rows: tl.constexpr, many: tl.constexpr, mass: tl.constexpr, apart: tl.constexpr, columns,
):  # fmt: skip
    """Choose among a chunk's tokens older than the window and write the choice, and the softmax mass it covers.

    logits [rows, chunk] are those whose mass is counted, score [chunk] what tokens are ranked by. With one chunk the
    kept share of the mass goes to alpha [g]; with `many`, the sums and all scores [columns] are left for the merge, and
    all logits [g, columns] too if they are `apart` from the scores.
    """
    limit = stop - window
    live = (token >= start) & (token < stop)
    score = tl.where(live & (token < limit), score, -float("inf"))
    older = tl.minimum(limit, begin + token.shape[0]) - tl.maximum(start, begin)
    chosen = choose(score, token, tl.maximum(tl.minimum(want, older), 0), stop)
    row = tl.arange(0, rows)
    if mass:
        logits = tl.where(live[None, :], logits, -float("inf"))
        best = tl.max(logits, 1)
        weight = tl.exp(logits - tl.where(best > -float("inf"), best, 0.0)[:, None])
        all_mass = tl.sum(weight, 1)
        kept_mass = tl.sum(tl.where((chosen | (token >= limit))[None, :], weight, 0.0), 1)
        if many:
            tl.store(peak + row, best, mask=row < g)
            tl.store(kept + row, kept_mass, mask=row < g)
            tl.store(total + row, all_mass, mask=row < g)
        else:
            tl.store(alpha + row, kept_mass / all_mass, mask=row < g)
    store_chosen(position, chosen, begin)
    if many:
        tl.store(key + token, score, mask=token < columns)
        if mass and apart:
            where = row[:, None] * columns + token[None, :]
            tl.store(logit + where, logits, mask=(row < g)[:, None] & (token < columns)[None, :])


@triton.jit
def score_kernel(
    kt, packed, channel, temperature, starts, stops,
    position, key, logit, peak, kept, total, alpha,
    kt_b, kt_h, kt_d, capacity, heads, chunks, columns, window, want,
    r: tl.constexpr, g: tl.constexpr, rows: tl.constexpr, chunk: tl.constexpr,
    together: tl.constexpr, stages: tl.constexpr, covered: tl.constexpr, many: tl.constexpr, mass: tl.constexpr,
    wait: tl.constexpr, processors: tl.constexpr, resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks]: approximate logits of `chunk` tokens of K stored channel-major, and the best of them."""
    program = tl.program_id(0)
    follow(overlap)
    hold_back(program, processors, resident, wait)
    head = program // chunks
    begin = (program % chunks) * chunk
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    read = tl.where((begin < stop) & (begin + chunk > start), r, 0)  # a chunk without live tokens reads no channel
    kt += (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h
    token = begin + tl.arange(0, chunk)
    logits = channel_logits(
        kt, packed + head * g * r, channel + head * r, temperature + head * g,
        begin + tl.arange(0, chunk)[None, :], kt_d, capacity, read, r, g, rows, together, stages, covered,
    )  # fmt: skip
    emit(
        logits, tl.sum(logits, 0), token, begin, start, stop, window, want,
        position + program * want, key + head.to(tl.int64) * columns, logit + head.to(tl.int64) * g * columns,
        peak + program * g, kept + program * g, total + program * g, alpha + head * g,
        g, rows, many, mass, g > 1, columns,
    )  # fmt: skip
