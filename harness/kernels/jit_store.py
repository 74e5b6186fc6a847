"""The largest scores of one program and where they are, written to consecutive places. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.jit_select import bound, choose, slots


@triton.jit
def halves(x):
    """Every other entry of x's last axis, from the first and from the second on."""
    return tl.split(tl.reshape(x, [x.shape[0], x.shape[1] // 2, 2]))


@triton.jit
def eighths(x):
    """x [8 n] as eight tensors [n]: what each thread holds of eight neighbours."""
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
def store_all(position, key, score, begin, want, last):
    """store_best by a search of all scores."""
    token = begin + tl.arange(0, score.shape[0])
    store_chosen(position, key, choose(score, token, want, last), score, begin)


@triton.jit
def store_few(position, key, rough, score, least, few, begin, want, last, room: tl.constexpr):
    """store_best by a search of the `few` scores that reach `least`, which pass through rough [2, room]."""
    where = rough.to(tl.pointer_type(tl.int32))
    store_chosen(where, rough + room, score >= least, score, begin)
    tl.debug_barrier()
    entry = tl.arange(0, room)
    token = tl.load(where + entry, mask=entry < few, other=-1)
    value = tl.load(rough + room + entry, mask=entry < few, other=-float("inf"))
    chosen = choose(value, token, want, last)
    slot = slots(chosen)
    tl.store(position + slot, token, mask=chosen)
    tl.store(key + slot, value, mask=chosen)


@triton.jit
def store_best(position, key, rough, score, begin, want, last, room: tl.constexpr):
    """Write begin + i and score[i] of the `want` largest scores to position and key [want]; equal ones as `choose`.

    The largest of each eight neighbours tell a bound that few scores reach, and these are searched instead of all.
    Where more reach it than there is room for (ties, or too many wanted), all are. At least `want` scores must be
    larger than -inf.
    """
    groups: tl.constexpr = score.shape[0] // 8
    few = tl.zeros((), tl.int32) + room + 1
    least = tl.full((), -float("inf"), tl.float32)
    if want * 2 <= groups:
        least = bound(tl.max(tl.reshape(score, [groups, 8]), 1), want, want + want // 4)
        few = tl.sum((score >= least).to(tl.int32), 0)
    if few <= room:
        store_few(position, key, rough, score, least, few, begin, want, last, room)
    else:
        store_all(position, key, score, begin, want, last)
