"""Exact top-k inside one program: a search for the k-th largest score, ties to the newest token.

Importing this file needs Triton.
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201

import triton
import triton.language as tl


@triton.jit
def to_float(rank):
    """The float32 of a rank: ranks are uint32 in the order of the floats."""
    bits = tl.where(rank >> 31 == 1, rank ^ 0x80000000, rank ^ 0xFFFFFFFF)
    return bits.to(tl.uint32).to(tl.float32, bitcast=True)


@triton.jit
def to_rank(score):
    """The rank of a float32; adding zero makes -0.0 equal to 0.0."""
    bits = (score + 0.0).to(tl.uint32, bitcast=True)
    return tl.where(bits >> 31 == 1, bits ^ 0xFFFFFFFF, bits ^ 0x80000000).to(tl.uint32)


@triton.jit
def choose(score, position, want, last):
    """Mask of the `want` largest scores; among equal scores the largest positions (0..last) win.

    score float32 and position int32, of one dimension. At least `want` scores must be larger than -inf.
    Bisection on the bits of the threshold: about ten rounds, which end once exactly `want` scores reach it; 32 at most.
    """
    high = to_rank(tl.max(score, 0))
    low = to_rank(tl.full((), -float("inf"), tl.float32))
    have = tl.full((), score.shape[0], tl.int32)  # scores that reach low
    # Scores bunch up below the largest: two octaves below it is the better first guess than the middle.
    middle = tl.where(high - low > (1 << 24), high - (1 << 24), low + (high - low + 1) // 2).to(tl.uint32)
    while low < high:
        count = tl.sum((score >= to_float(middle)).to(tl.int32), 0)
        enough = count >= want
        low = tl.where(enough, middle, low)
        have = tl.where(enough, count, have)
        high = tl.where(enough, tl.where(count == want, middle, high), middle - 1).to(tl.uint32)
        middle = low + (high - low + 1) // 2
    bound = tl.where(want > 0, to_float(low), float("inf"))
    tied = score == bound
    need = want - tl.sum((score > bound).to(tl.int32), 0)
    oldest = tl.full((), 0, tl.int32)
    newest = tl.where(have == want, 0, last).to(tl.int32)
    while oldest < newest:
        centre = (oldest + newest + 1) // 2
        enough = tl.sum((tied & (position >= centre)).to(tl.int32), 0) >= need
        oldest = tl.where(enough, centre, oldest)
        newest = tl.where(enough, newest, centre - 1)
    return (score > bound) | (tied & (position >= oldest))


@triton.jit
def slots(chosen):
    """Consecutive numbers 0, 1, ... for the chosen entries."""
    return tl.cumsum(chosen.to(tl.int32), 0) - 1


@triton.jit
def store_chosen(target, chosen, begin):
    """Write begin + i for every chosen entry i, in order, to consecutive places of target.

    Eight neighbours become the bits of one byte inside a thread; only the bytes are numbered across threads.
    """
    bytes_: tl.constexpr = chosen.shape[0] // 8
    weight = 1 << tl.arange(0, 8)
    left = tl.sum(tl.reshape(chosen.to(tl.int32), [bytes_, 8]) * weight[None, :], 1)
    pairs = left - ((left >> 1) & 0x55)
    nibbles = (pairs & 0x33) + ((pairs >> 2) & 0x33)
    count = (nibbles + (nibbles >> 4)) & 0x0F
    place = tl.cumsum(count, 0) - count
    first = begin + 8 * tl.arange(0, bytes_)
    for _ in tl.static_range(8):
        lowest = left & -left
        bit = (lowest.to(tl.float32).to(tl.int32, bitcast=True) >> 23) - 127
        tl.store(target + place, first + bit, mask=left > 0)
        left = left & (left - 1)
        place += 1
