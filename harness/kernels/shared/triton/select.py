"""Finds the exact top k inside one program by a search for the k-th largest score, ties to the newest token.

Importing this file needs Triton.
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201

import triton
import triton.language as tl


@triton.jit
def to_float(rank):
    """Return the float32 of a rank: ranks are uint32 in the order of the floats."""
    bits = tl.where(rank >> 31 == 1, rank ^ 0x80000000, rank ^ 0xFFFFFFFF)
    return bits.to(tl.uint32).to(tl.float32, bitcast=True)


@triton.jit
def to_rank(score):
    """Return the rank of a float32; adding zero makes -0.0 equal to 0.0."""
    bits = (score + 0.0).to(tl.uint32, bitcast=True)
    return tl.where(bits >> 31 == 1, bits ^ 0xFFFFFFFF, bits ^ 0x80000000).to(tl.uint32)


@triton.jit
def choose(score, position, count, last, least=-float("inf")):
    """Return a mask of the `count` largest scores; among equal scores the largest positions (0..last) win.

    score float32 and position int32, of one dimension. At least `count` scores must be larger than -inf and reach
    `least`, from which the search starts. Bisects the bits of the threshold, in about ten rounds and at most 32, until
    exactly `count` scores reach it.
    """
    high = to_rank(tl.max(score, 0))
    low = to_rank(tl.zeros((), tl.float32) + least)
    have = tl.full((), score.shape[0], tl.int32)  # scores that reach low
    # Scores bunch up below the largest: two octaves below it is the better first guess than the middle.
    middle = tl.where(high - low > (1 << 24), high - (1 << 24), low + (high - low + 1) // 2).to(tl.uint32)
    while low < high:
        reached = tl.sum((score >= to_float(middle)).to(tl.int32), 0)
        enough = reached >= count
        low = tl.where(enough, middle, low)
        have = tl.where(enough, reached, have)
        high = tl.where(enough, tl.where(reached == count, middle, high), middle - 1).to(tl.uint32)
        middle = low + (high - low + 1) // 2
    bound = tl.where(count > 0, to_float(low), float("inf"))
    tied = score == bound
    need = count - tl.sum((score > bound).to(tl.int32), 0)
    oldest = tl.full((), 0, tl.int32)
    newest = tl.where(have == count, 0, last).to(tl.int32)
    while oldest < newest:
        centre = (oldest + newest + 1) // 2
        enough = tl.sum((tied & (position >= centre)).to(tl.int32), 0) >= need
        oldest = tl.where(enough, centre, oldest)
        newest = tl.where(enough, newest, centre - 1)
    return (score > bound) | (tied & (position >= oldest))


@triton.jit
def places(chosen):
    """Number the chosen entries 0, 1, ... in their order."""
    return tl.cumsum(chosen.to(tl.int32), 0) - 1


@triton.jit
def bound(maxima, count, most):
    """Find a score that at least `count` of the maxima reach, and no more than `most` unless some tie.

    This is the bisection of `choose`, given up early. -inf if fewer than `count` are larger than that.
    """
    high = to_rank(tl.max(maxima, 0))
    low = to_rank(tl.full((), -float("inf"), tl.float32))
    have = tl.full((), maxima.shape[0], tl.int32)
    middle = tl.where(high - low > (1 << 24), high - (1 << 24), low + (high - low + 1) // 2).to(tl.uint32)
    while (low < high) & (have > most):
        reached = tl.sum((maxima >= to_float(middle)).to(tl.int32), 0)
        enough = reached >= count
        low = tl.where(enough, middle, low)
        have = tl.where(enough, reached, have)
        high = tl.where(enough, high, middle - 1).to(tl.uint32)
        middle = low + (high - low + 1) // 2
    return to_float(low)
