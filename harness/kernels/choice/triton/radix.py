"""Finds the k-th largest score digit by digit, and lists what reaches it. Importing this file needs Triton.

A score's rank (select.to_rank) has four digits of eight bits. The search has six phases, each over parts of a KV head's
tokens: four times tally counts the values of one digit among the scores that begin like the k-th, then count what lies
above the k-th and what equals it, then list writes the columns. A phase reads what all parts of the phase before wrote:
they are launches of their own, or one launch whose programs wait for each other.
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.shared.triton.launch import follow, meet
from harness.kernels.shared.triton.select import to_rank


@triton.jit
def part_of(score, starts, stops, heads, parts, columns, per_part, window, count):
    """Return head, part, its scores, its first and end column, and how many tokens are chosen of all the row's."""
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    start = tl.load(starts + head // heads)
    limit = tl.maximum(tl.load(stops + head // heads) - window, start)
    begin = tl.maximum(start, part * per_part)
    end = tl.minimum(limit, (part + 1) * per_part)
    return head, part, score + head.to(tl.int64) * columns, begin, end, tl.minimum(count, limit - start)


@triton.jit
def ranks(score, first, end, block: tl.constexpr):
    """Return the ranks [block] of the scores from column `first` on, and which of them are before `end`."""
    token = first + tl.arange(0, block)
    return to_rank(tl.load(score + token, mask=token < end, other=0.0)), token < end


@triton.jit
def next_bound(tally, bound, head, all_heads, digit, found):
    """Return the k-th rank's first `digit` digits, and how many scores that begin with them are to be chosen.

    tally [digits, B * H, 256] and bound [digits + 1, B * H, 2] are known for all digits before. The row's `found` best
    are chosen; a bound of no digits leaves all of them. Reads past the first-level cache, which may be older than what
    other programs of the same launch wrote.
    """
    known = tl.zeros((), tl.uint32)
    need = found
    if digit > 0:
        last = bound + ((digit - 1) * all_heads + head) * 2
        value = tl.arange(0, 256)
        often = tl.load(tally + ((digit - 1) * all_heads + head) * 256 + value, cache_modifier=".cg")
        reached = tl.cumsum(often, 0, reverse=True)
        before = tl.load(last + 1, cache_modifier=".cg")
        kth = tl.max(tl.where(reached >= before, value, 0), 0)
        need = before - tl.sum(tl.where(value > kth, often, 0), 0)
        known = (tl.load(last, cache_modifier=".cg").to(tl.uint32) << 8) | kth.to(tl.uint32)
    return known, need


@triton.jit
def tally_part(score, begin, end, first_part, tally, bound, head, all_heads, digit, found, block: tl.constexpr):
    """Add to tally how often each value of a digit occurs in a part, and write the bound before that digit."""
    known, need = next_bound(tally, bound, head, all_heads, digit, found)
    if first_part:
        write_bound(bound, head, all_heads, digit, known, need)
    value = tl.arange(0, 256)
    often = tl.zeros([256], tl.int32)
    for first in range(begin, end, block):
        rank, inside = ranks(score, first, end, block)
        wide = rank.to(tl.uint64)  # no digits are a shift by all bits
        like = inside & ((wide >> (32 - 8 * digit)).to(tl.uint32) == known)
        figure = tl.where(like, (rank >> (24 - 8 * digit)) & 255, 0).to(tl.int32)
        others = block - tl.sum(like.to(tl.int32), 0)
        often += tl.histogram(figure, 256) - tl.where(value == 0, others, 0)
    tl.atomic_add(tally + (digit * all_heads + head) * 256 + value, often, mask=often > 0)


@triton.jit
def write_bound(bound, head, all_heads, digit, known, need):
    """Write the k-th rank's first digits, and how many scores that begin with them are to be chosen."""
    where = bound + (digit * all_heads + head) * 2
    tl.store(where, known.to(tl.int32, bitcast=True))
    tl.store(where + 1, need)


@triton.jit
def count_part(score, begin, end, first_part, tally, bound, counts, head, all_heads, found, block: tl.constexpr):
    """Write counts [2], of the scores of a part those above the k-th and those equal to it, and the whole bound."""
    kth, need = next_bound(tally, bound, head, all_heads, 4, found)
    if first_part:
        write_bound(bound, head, all_heads, 4, kth, need)
    above = tl.zeros((), tl.int32)
    equal = tl.zeros((), tl.int32)
    for first in range(begin, end, block):
        rank, inside = ranks(score, first, end, block)
        above += tl.sum((inside & (rank > kth)).to(tl.int32), 0)
        equal += tl.sum((inside & (rank == kth)).to(tl.int32), 0)
    tl.store(counts, above)
    tl.store(counts + 1, equal)


@triton.jit
def list_part(score, begin, end, part, parts, kth, need, counts, index, pad: tl.constexpr, block: tl.constexpr):
    """Write a part's share of a head's index, oldest first; of scores equal to the k-th the newest are chosen."""
    other = tl.arange(0, pad)
    above = tl.load(counts + other * 2, mask=other < parts, other=0, cache_modifier=".cg")
    equal = tl.load(counts + other * 2 + 1, mask=other < parts, other=0, cache_modifier=".cg")
    newer = tl.cumsum(equal, 0, reverse=True) - equal  # equal scores in later parts
    taken = tl.maximum(tl.minimum(need - newer, equal), 0)
    place = tl.sum(tl.where(other < part, above + taken, 0), 0)
    skipped = tl.sum(tl.where(other == part, equal - taken, 0), 0)
    for first in range(begin, end, block):
        rank, inside = ranks(score, first, end, block)
        tie = inside & (rank == kth)
        order = tl.cumsum(tie.to(tl.int32), 0)
        best = (inside & (rank > kth)) | (tie & (order > skipped))
        tl.store(index + place + tl.cumsum(best.to(tl.int32), 0) - 1, first + tl.arange(0, block), mask=best)
        place += tl.sum(best.to(tl.int32), 0)
        skipped = tl.maximum(skipped - tl.sum(tie.to(tl.int32), 0), 0)


@triton.jit
def search_kernel(
    score, starts, stops, heads, parts, columns, per_part, window, count, tally, bound, counts, arrived, index,
    first: tl.constexpr, last: tl.constexpr, pad: tl.constexpr, block: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Run the phases first .. last - 1 of the search; index [B, H, count]. Grid [B * H * parts].

    tally [4, B * H, 256] and arrived [B * H] are zero before the first phase, bound is [5, B * H, 2], counts
    [B * H, parts, 2]. For more than one phase all programs of a head must be able to run at the same time.
    """
    follow(overlap)
    all_heads = tl.num_programs(0) // parts
    head, part, score, begin, end, found = part_of(score, starts, stops, heads, parts, columns, per_part, window, count)
    for digit in range(first, min(last, 4)):
        tally_part(score, begin, end, part == 0, tally, bound, head, all_heads, digit, found, block)
        if digit + 1 < last:
            meet(arrived + head, parts * (digit + 1 - first))
    if first <= 4 and last > 4:
        mine = counts + (head * parts + part) * 2
        count_part(score, begin, end, part == 0, tally, bound, mine, head, all_heads, found, block)
        if last > 5:
            meet(arrived + head, parts * (5 - first))
    if last > 5:
        kth = tl.load(bound + (4 * all_heads + head) * 2, cache_modifier=".cg").to(tl.uint32, bitcast=True)
        need = tl.load(bound + (4 * all_heads + head) * 2 + 1, cache_modifier=".cg")
        index += head.to(tl.int64) * count
        list_part(score, begin, end, part, parts, kth, need, counts + head * parts * 2, index, pad, block)
