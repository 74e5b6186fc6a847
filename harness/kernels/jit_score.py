"""SparQ, steps 2 and 3: approximate logits and the best tokens of a chunk. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_channels import prepare_query
from harness.kernels.jit_launch import follow, hold_back
from harness.kernels.jit_store import store_all, store_best


@triton.jit
def channel_logits(
    kt, packed, channel, temperature, token, kt_d, capacity, read, stages: tl.constexpr, covered: tl.constexpr
):  # fmt: skip
    """Logits [1, chunk] at the tokens [1, chunk] from the first `read` chosen channels of kt, for one query head.

    Naming `stages` makes Triton copy channels ahead into shared memory. Columns beyond the live tokens are read too:
    the mask must not depend on data, or loads shrink to one element. `covered`: all tokens are within capacity.
    """
    total = tl.zeros([1, token.shape[1]], tl.float32)
    for i in tl.range(0, read, num_stages=stages):
        at = kt + tl.load(channel + i) * kt_d + token
        key = tl.load(at) if covered else tl.load(at, mask=token < capacity, other=0.0)
        total += tl.load(packed + i) * key.to(tl.float32)
    return total * tl.load(temperature)


@triton.jit
def softmax_mass(logits, token, start, stop, window):
    """The largest [1] of the live logits [1, chunk], and the sum of exp [1] over them and over the window alone."""
    logits = tl.where(((token >= start) & (token < stop))[None, :], logits, -float("inf"))
    best = tl.max(logits, 1)
    weight = tl.exp(logits - tl.where(best > -float("inf"), best, 0.0)[:, None])
    return best, tl.sum(weight, 1), tl.sum(tl.where((token >= stop - window)[None, :], weight, 0.0), 1)


@triton.jit
def store_older(
    position, key, rough, score, token, begin, start, stop, window, want, room: tl.constexpr, narrow: tl.constexpr
):  # fmt: skip
    """Write the best `want` live tokens of a chunk that are older than the window, and their scores.

    score [chunk] float32, of the tokens from `begin` on. Where fewer are older, so many are written; returns how many.
    The search is one of all scores, or is to `narrow` them down first (store_best).
    """
    limit = stop - window
    score = tl.where((token >= start) & (token < limit), score, -float("inf"))
    older = tl.minimum(limit, begin + token.shape[0]) - tl.maximum(start, begin)
    wanted = tl.maximum(tl.minimum(want, older), 0)
    if narrow:
        store_best(position, key, rough, score, begin, wanted, stop, room)
    else:
        store_all(position, key, score, begin, wanted, stop)
    return wanted


@triton.jit
def chosen_mass(key, wanted, top, room: tl.constexpr):
    """The sum of exp [1] over the tokens that this program has chosen, whose logits are key, for one query head."""
    tl.debug_barrier()
    entry = tl.arange(0, room)
    chosen = tl.load(key + entry, mask=entry < wanted, other=-float("inf"))
    return tl.sum(tl.exp(chosen[None, :] - top[:, None]), 1)


@triton.jit
def score_kernel(
    q, kt, packed, channel, temperature, masked, starts, stops, position, key, rough, peak, total, held,
    kt_b, kt_h, kt_d, capacity, heads, chunks, window, want, scale,
    r: tl.constexpr, d: tl.constexpr, width: tl.constexpr, chunk: tl.constexpr,
    stages: tl.constexpr, covered: tl.constexpr, room: tl.constexpr,
    narrow: tl.constexpr, wait: tl.constexpr, processors: tl.constexpr,
    resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Grid [B * H * chunks], a group of one: approximate logits of a chunk of K stored channel-major, and its best.

    position and key [B, H, chunks, want]: the best tokens and their logits. Each program chooses channels by itself:
    packed [.., r], channel [.., r], temperature [..], masked [.., d] and rough [.., 2, room] are its scratch. peak and
    total [B, H, chunks] are the softmax mass of all, held that of what is kept.
    """
    program = tl.program_id(0)
    follow(overlap)
    hold_back(program, processors, resident, wait)
    head = program // chunks
    begin = (program % chunks) * chunk
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    packed += program * r
    channel += program * r
    temperature += program
    position += program * want
    key += program * want
    prepare_query(q + head * d, packed, channel, temperature, masked + program * d, scale, r, 1, d, width)
    read = tl.where((begin < stop) & (begin + chunk > start), r, 0)  # a chunk without live tokens reads no channel
    token = begin + tl.arange(0, chunk)
    logits = channel_logits(
        kt + (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h, packed, channel, temperature,
        begin + tl.arange(0, chunk)[None, :], kt_d, capacity, read, stages, covered,
    )  # fmt: skip
    top, mass, near = softmax_mass(logits, token, start, stop, window)
    row = tl.arange(0, 1)
    tl.store(peak + program + row, top)
    tl.store(total + program + row, mass)
    score = tl.sum(logits, 0)
    rough += program * 2 * room
    wanted = store_older(position, key, rough, score, token, begin, start, stop, window, want, room, narrow)
    if chunks == 1:
        tl.store(held + program + row, near + chosen_mass(key, wanted, top, room))
