"""SparQ, steps 2 and 3: approximate logits and the best tokens of a chunk. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN202, PLR0913, PLR0915

import triton
import triton.language as tl
from triton.language.extra.cuda import globaltimer

from harness.kernels.jit_select import choose, slots, store_chosen


@triton.jit
def hold_back(program, processors, resident, wait):
    """Start the first wave's programs of a processor `wait` nanoseconds apart.

    Programs that start together also read, select and gather together, and memory idles while they select.
    """
    begin = globaltimer()
    now = begin
    end = begin + tl.where(program < processors * resident, program // processors * wait, 0)
    while now < end:
        now = globaltimer()


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
            if covered:
                key = tl.load(at)
            else:
                key = tl.load(at, mask=token < capacity, other=0.0)
            query = tl.load(packed + row * r + first + i, mask=row < g, other=0.0)
            total += query * key.to(tl.float32)
    return total * tl.load(temperature + row, mask=row < g, other=0.0)


@triton.jit
def emit(
    logits, score, token, begin, start, stop, window, want, position, key, logit, peak, kept, total, alpha,
    g: tl.constexpr, rows: tl.constexpr, many: tl.constexpr, mass: tl.constexpr, apart: tl.constexpr, stride,
):  # fmt: skip
    """Choose among a chunk's tokens older than the window and write the choice, and the softmax mass it covers.

    logits [rows, chunk] are those whose mass is counted, score [chunk] what tokens are ranked by. With one chunk the
    kept share of the mass goes to alpha [g]; with `many`, scores and sums are left for the merge, and the logits too if
    they are `apart` from the scores.
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
    if many:
        slot = slots(chosen)
        tl.store(position + slot, token, mask=chosen)
        tl.store(key + slot, score, mask=chosen)
        if mass and apart:
            where = row[:, None] * stride + slot[None, :]
            tl.store(logit + where, logits, mask=chosen[None, :] & (row < g)[:, None])
    else:
        store_chosen(position, chosen, begin)


@triton.jit
def score_kernel(
    kt, packed, channel, temperature, starts, stops,
    position, key, logit, peak, kept, total, alpha,
    kt_b, kt_h, kt_d, capacity, heads, chunks, window, want,
    r: tl.constexpr, g: tl.constexpr, rows: tl.constexpr, chunk: tl.constexpr,
    together: tl.constexpr, stages: tl.constexpr, covered: tl.constexpr, many: tl.constexpr, mass: tl.constexpr,
    wait: tl.constexpr, processors: tl.constexpr, resident: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks]: approximate logits of `chunk` tokens of K stored channel-major, and the best of them."""
    program = tl.program_id(0)
    if wait > 0:
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
        position + program * want, key + program * want,
        logit + head * g * chunks * want + (program % chunks) * want,
        peak + program * g, kept + program * g, total + program * g, alpha + head * g,
        g, rows, many, mass, g > 1, chunks * want,
    )  # fmt: skip
