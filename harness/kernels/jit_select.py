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
def bound(maxima, want, most):
    """A score that at least `want` of the maxima reach, and no more than `most` unless some tie.

    The bisection of `choose`, given up early. -inf if fewer than `want` are larger than that.
    """
    high = to_rank(tl.max(maxima, 0))
    low = to_rank(tl.full((), -float("inf"), tl.float32))
    have = tl.full((), maxima.shape[0], tl.int32)
    middle = tl.where(high - low > (1 << 24), high - (1 << 24), low + (high - low + 1) // 2).to(tl.uint32)
    while (low < high) & (have > most):
        count = tl.sum((maxima >= to_float(middle)).to(tl.int32), 0)
        enough = count >= want
        low = tl.where(enough, middle, low)
        have = tl.where(enough, count, have)
        high = tl.where(enough, high, middle - 1).to(tl.uint32)
        middle = low + (high - low + 1) // 2
    return to_float(low)
