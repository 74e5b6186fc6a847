"""Writes the largest scores of one program, and where they are, to consecutive places. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.select import bound, choose, places


@triton.jit
def halves(x):
    """Split x's last axis into every other entry from the first, and from the second on."""
    return tl.split(tl.reshape(x, [x.shape[0], x.shape[1] // 2, 2]))


@triton.jit
def eighths(x):
    """Split x [8 n] into eight tensors [n]: what each thread holds of eight neighbours."""
    even, odd = halves(tl.reshape(x, [x.shape[0] // 8, 8]))
    x04, x26 = halves(even)
    x15, x37 = halves(odd)
    x0, x4 = tl.split(x04)
    x2, x6 = tl.split(x26)
    x1, x5 = tl.split(x15)
    x3, x7 = tl.split(x37)
    return x0, x1, x2, x3, x4, x5, x6, x7


@triton.jit
def store_chosen(position, key, chosen, score, begin):
    """Write begin + i and score[i] of every chosen entry i, in order, to consecutive places of position and key.

    Eight neighbours are numbered inside a thread; only how many they are is summed up across threads.
    """
    m = eighths(chosen.to(tl.int32))
    x = eighths(score)
    count = m[0] + m[1] + m[2] + m[3] + m[4] + m[5] + m[6] + m[7]
    place = tl.cumsum(count, 0) - count
    first = begin + 8 * tl.arange(0, chosen.shape[0] // 8)
    for i in tl.static_range(8):
        tl.store(position + place, first + i, mask=m[i] > 0)
        tl.store(key + place, x[i], mask=m[i] > 0)
        place += m[i]


@triton.jit
def store_all(position, key, score, begin, count, last):
    """Do what store_best does, by a search of all scores."""
    token = begin + tl.arange(0, score.shape[0])
    store_chosen(position, key, choose(score, token, count, last), score, begin)


@triton.jit
def store_few(position, key, scratch, score, least, few, begin, count, last, slots: tl.constexpr):
    """Do what store_best does, searching the `few` scores that reach `least`, which pass through scratch [2, slots]."""
    where = scratch.to(tl.pointer_type(tl.int32))
    store_chosen(where, scratch + slots, score >= least, score, begin)
    tl.debug_barrier()
    entry = tl.arange(0, slots)
    token = tl.load(where + entry, mask=entry < few, other=-1)
    value = tl.load(scratch + slots + entry, mask=entry < few, other=-float("inf"))
    chosen = choose(value, token, count, last)
    place = places(chosen)
    tl.store(position + place, token, mask=chosen)
    tl.store(key + place, value, mask=chosen)


@triton.jit
def store_best(position, key, scratch, score, begin, count, last, slots: tl.constexpr):
    """Write begin + i and score[i] of the `count` largest scores to position and key [count]; equal ones as `choose`.

    The largest of each eight neighbours give a bound that few scores reach, and these are searched instead of all.
    Where more reach it than there are slots (ties, or a large `count`), all are. At least `count` scores must be larger
    than -inf.
    """
    groups: tl.constexpr = score.shape[0] // 8
    few = tl.zeros((), tl.int32) + slots + 1
    least = tl.full((), -float("inf"), tl.float32)
    if count * 2 <= groups:
        least = bound(tl.max(tl.reshape(score, [groups, 8]), 1), count, count + count // 4)
        few = tl.sum((score >= least).to(tl.int32), 0)
    if few <= slots:
        store_few(position, key, scratch, score, least, few, begin, count, last, slots)
    else:
        store_all(position, key, score, begin, count, last)


@triton.jit
def store_older(
    position, key, scratch, score, token, begin, start, stop, window, count, slots: tl.constexpr, narrow: tl.constexpr
):  # fmt: skip
    """Write the best `count` live tokens of a chunk that are older than the window, and their scores.

    score [chunk] float32 are those of the tokens from `begin` on. Where fewer are older, all of these are written;
    returns how many were. With `narrow` the search first narrows the scores down (store_best).
    """
    limit = stop - window
    score = tl.where((token >= start) & (token < limit), score, -float("inf"))
    older = tl.minimum(limit, begin + token.shape[0]) - tl.maximum(start, begin)
    found = tl.maximum(tl.minimum(count, older), 0)
    if narrow:
        store_best(position, key, scratch, score, begin, found, stop, slots)
    else:
        store_all(position, key, score, begin, found, stop)
    return found
