"""SparQ, steps 2 and 3: approximate logits and the best tokens of a chunk. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_channels import largest_channels, list_channels, mask_query
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
def softmax_mass(logits, live):
    """The largest [rows] and the sum of exp [rows] over the live of logits [rows, chunk]."""
    logits = tl.where(live[None, :], logits, -float("inf"))
    best = tl.max(logits, 1)
    return best, tl.sum(tl.exp(logits - tl.where(best > -float("inf"), best, 0.0)[:, None]), 1)


@triton.jit
def choose_older(score, token, begin, start, stop, window, want, position):
    """Write the best `want` live tokens of a chunk that are older than the window; returns their score, else -inf.

    score [chunk] float32, of the tokens from `begin` on.
    """
    limit = stop - window
    score = tl.where((token >= start) & (token < limit), score, -float("inf"))
    older = tl.minimum(limit, begin + token.shape[0]) - tl.maximum(start, begin)
    store_chosen(position, choose(score, token, tl.maximum(tl.minimum(want, older), 0), stop), begin)
    return score


@triton.jit
def score_kernel(
    q, kt, packed, channel, temperature, masked, starts, stops, position, key, peak, total,
    kt_b, kt_h, kt_d, capacity, heads, chunks, columns, window, want, scale,
    r: tl.constexpr, g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, chunk: tl.constexpr,
    together: tl.constexpr, stages: tl.constexpr, covered: tl.constexpr, select: tl.constexpr, keep: tl.constexpr,
    wait: tl.constexpr, processors: tl.constexpr, resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks]: approximate logits of `chunk` tokens of K stored channel-major.

    Their sum over the group is the score: with `select` the best of the chunk are chosen by it, with `keep` it goes to
    key [B, H, columns]. packed [.., g, r], channel [.., r], temperature [.., g] and masked [.., g, d] are scratch, one
    for each program, for all choose the channels by themselves; peak and total [B, H, chunks, g] are the softmax mass.
    """
    program = tl.program_id(0)
    follow(overlap)
    hold_back(program, processors, resident, wait)
    head = program // chunks
    begin = (program % chunks) * chunk
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    packed += program * g * r
    channel += program * r
    temperature += program * g
    q += head * g * d
    chosen = largest_channels(q, r, g, d, width)
    mask_query(q, chosen, masked + program * g * d, temperature, scale, g, d, width)
    list_channels(q, chosen, packed, channel, r, g, d, width)
    tl.debug_barrier()
    read = tl.where((begin < stop) & (begin + chunk > start), r, 0)  # a chunk without live tokens reads no channel
    kt += (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h
    token = begin + tl.arange(0, chunk)
    logits = channel_logits(
        kt, packed, channel, temperature, begin + tl.arange(0, chunk)[None, :],
        kt_d, capacity, read, r, g, rows, together, stages, covered,
    )  # fmt: skip
    row = tl.arange(0, rows)
    best, mass = softmax_mass(logits, (token >= start) & (token < stop))
    tl.store(peak + program * g + row, best, mask=row < g)
    tl.store(total + program * g + row, mass, mask=row < g)
    score = tl.sum(logits, 0)
    if select:
        score = choose_older(score, token, begin, start, stop, window, want, position + program * want)
    if keep:
        tl.store(key + head.to(tl.int64) * columns + token, score, mask=token < columns)
