"""Scores all tokens of a KV head and chooses the best in one program: SparQ, steps 1 to 3. Importing needs Triton."""

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
    kt, packed, channel, temperature, token, kt_d, capacity, r, stages: tl.constexpr, covered: tl.constexpr
):  # fmt: skip
    """Compute logits [1, chunk] at token [1, chunk] from the r chosen channels of kt, for one query head.

    Naming `stages` makes Triton copy channels ahead into shared memory. Columns beyond the live tokens are read too:
    the mask must not depend on data, or loads shrink to one element. `covered`: all tokens are within capacity.
    """
    total = tl.zeros([1, token.shape[1]], tl.float32)
    for i in tl.range(0, r, num_stages=stages):
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
def single_kernel(
    q, kt, packed, channel, temperature, masked, starts, stops, index, key, scratch, peak, total, held,
    kt_b, kt_h, kt_d, capacity, heads, window, count, scale,
    r: tl.constexpr, d: tl.constexpr, width: tl.constexpr, chunk: tl.constexpr,
    stages: tl.constexpr, covered: tl.constexpr, slots: tl.constexpr,
    narrow: tl.constexpr, wait: tl.constexpr, processors: tl.constexpr,
    resident: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Score K stored channel-major and choose the best tokens. Grid [B * H], one query head per KV head.

    index and key [B, H, count]: the best tokens and their logits. Each program chooses channels by itself: packed
    [.., r], channel [.., r], temperature [..], masked [.., d] and scratch [.., 2, slots] are its own. peak and total
    [B, H] are the softmax mass of all tokens, held that of the kept ones.
    """
    head = tl.program_id(0)
    follow(overlap)
    hold_back(head, processors, resident, wait)
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    packed += head * r
    channel += head * r
    temperature += head
    key += head * count
    prepare_query(q + head * d, packed, channel, temperature, masked + head * d, scale, r, d, width)
    token = tl.arange(0, chunk)
    row = tl.arange(0, 1)
    logits = channel_logits(
        kt + (head // heads).to(tl.int64) * kt_b + (head % heads).to(tl.int64) * kt_h, packed, channel, temperature,
        tl.arange(0, chunk)[None, :], kt_d, capacity, r, stages, covered,
    )  # fmt: skip
    top, mass, near = softmax_mass(logits, token, start, stop, window)
    tl.store(peak + head + row, top)
    tl.store(total + head + row, mass)
    scratch += head * 2 * slots
    found = store_older(
        index + head * count, key, scratch, tl.sum(logits, 0), token, 0, start, stop, window, count, slots, narrow
    )
    tl.store(held + head + row, near + chosen_mass(key, found, top, slots))
