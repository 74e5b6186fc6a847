"""Scores a chunk of tokens and chooses its best, without a group: SparQ, steps 1 to 3. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow, hold_back
from harness.kernels.sparq.triton.channels import prepare_query
from harness.kernels.sparq.triton.store import store_older


@triton.jit
def channel_logits(
    kt, packed, channel, temperature, token, kt_d, capacity, read, stages: tl.constexpr, covered: tl.constexpr
):  # fmt: skip
    """Compute logits [1, chunk] at token [1, chunk] from the first `read` chosen channels of kt, for one query head.

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
    """Return the largest [1] of the live logits [1, chunk], and the sum of exp [1] over them and over the window."""
    logits = tl.where(((token >= start) & (token < stop))[None, :], logits, -float("inf"))
    best = tl.max(logits, 1)
    weight = tl.exp(logits - tl.where(best > -float("inf"), best, 0.0)[:, None])
    return best, tl.sum(weight, 1), tl.sum(tl.where((token >= stop - window)[None, :], weight, 0.0), 1)


@triton.jit
def chosen_mass(key, found, top, slots: tl.constexpr):
    """Return the sum of exp [1] over the `found` tokens that this program has chosen, whose logits are key."""
    tl.debug_barrier()
    entry = tl.arange(0, slots)
    chosen = tl.load(key + entry, mask=entry < found, other=-float("inf"))
    return tl.sum(tl.exp(chosen[None, :] - top[:, None]), 1)


@triton.jit
def score_choose_kernel(
    q, kt, packed, channel, temperature, masked, starts, stops, position, key, scratch, peak, total, held,
    kt_b, kt_h, kt_d, capacity, heads, chunks, window, count, scale,
    r: tl.constexpr, d: tl.constexpr, width: tl.constexpr, chunk: tl.constexpr,
    stages: tl.constexpr, covered: tl.constexpr, slots: tl.constexpr,
    narrow: tl.constexpr, wait: tl.constexpr, processors: tl.constexpr,
    resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Score a chunk of K stored channel-major and choose its best tokens. Grid [B * H * chunks], a group of one.

    position and key [B, H, chunks, count]: the best tokens and their logits. Each program chooses channels by itself:
    packed [.., r], channel [.., r] and scratch [.., 2, slots] are its own, temperature [B, H] and masked [B, H, d] are
    the same from all chunks. peak and total [B, H, chunks] are the softmax mass of all tokens; held that of the kept
    ones, written if there is one chunk.
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
    temperature += head
    position += program * count
    key += program * count
    prepare_query(q + head * d, packed, channel, temperature, masked + head * d, scale, r, d, width)
    token = begin + tl.arange(0, chunk)
    read = tl.where((begin < stop) & (begin + chunk > start), r, 0)  # a chunk without live tokens reads no channel
    logits = channel_logits(
        kt + (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h, packed, channel, temperature,
        begin + tl.arange(0, chunk)[None, :], kt_d, capacity, read, stages, covered,
    )  # fmt: skip
    top, mass, near = softmax_mass(logits, token, start, stop, window)
    row = tl.arange(0, 1)
    tl.store(peak + program + row, top)
    tl.store(total + program + row, mass)
    score = tl.sum(logits, 0)
    scratch += program * 2 * slots
    found = store_older(position, key, scratch, score, token, begin, start, stop, window, count, slots, narrow)
    if chunks == 1:
        tl.store(held + program + row, near + chosen_mass(key, found, top, slots))
