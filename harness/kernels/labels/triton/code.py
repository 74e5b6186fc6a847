"""Labels the queries and the newest key by codes of a few channels, and scores codes. Importing this needs Triton.

A label's codes are bytes [n], n a multiple of 4, whose parts of `bits` bits hold channels that lie n apart, as
harness/attention/packed has them; its ends are its least and its greatest entry.
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.codes.triton.encode import nearest
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.scores import store_scores


@triton.jit
def codes_of(entry, least, greatest, bits: tl.constexpr):
    """Return the codes of entries between two ends, as whole numbers in float32."""
    most: tl.constexpr = (1 << bits) - 1
    span = tl.where(greatest == least, 1.0, greatest - least)
    code = nearest(tl.div_rn((entry - least) * most, span + tl.zeros_like(entry)))
    return tl.minimum(tl.maximum(code, 0.0), most)


@triton.jit
def label_kernel(
    q, k, channels, code, ends, query, stops, k_b, k_h, k_n, c_b, c_h, heads, room,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, r: tl.constexpr, width: tl.constexpr, n: tl.constexpr,
    pad: tl.constexpr, bits: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Write query [B, H, r], the labels of q [B, H, g, d] as read back, summed over the group. Grid [B * H].

    channels [B or 1, H, r] are those of a label. The newest key's goes to its column, of code [B, H, room, n] and ends
    [B, H, room, 2].
    """
    follow(overlap)
    most: tl.constexpr = (1 << bits) - 1
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    newest = (tl.load(stops + batch) - 1).to(tl.int64)
    k += batch * k_b + inner * k_h + newest * k_n
    channels += batch * c_b + inner * c_h
    row = tl.arange(0, rows)[:, None]
    place = tl.arange(0, width)
    real = place < r
    channel = tl.load(channels + place, mask=real, other=0)
    inside = (row < g) & real[None, :]
    asked = tl.load(q + head * g * d + row * d + channel[None, :], mask=inside, other=0.0).to(tl.float32)
    least = tl.min(tl.where(real[None, :], asked, float("inf")), 1)[:, None]
    greatest = tl.max(tl.where(real[None, :], asked, -float("inf")), 1)[:, None]
    label = codes_of(asked, least, greatest, bits) * (greatest - least) / most + least
    tl.store(query + head * r + place, tl.sum(tl.where(inside, label, 0.0), 0), mask=real)

    key = tl.load(k + channel, mask=real, other=0.0).to(tl.float32)
    low = tl.min(tl.where(real, key, float("inf")), 0)
    high = tl.max(tl.where(real, key, -float("inf")), 0)
    byte = tl.arange(0, pad)
    packed = tl.zeros([pad], tl.int32)
    for part in tl.static_range(8 // bits):
        held = (byte < n) & (part * n + byte < r)
        chosen = tl.load(channels + part * n + byte, mask=held, other=0)
        entry = tl.load(k + chosen, mask=held, other=0.0).to(tl.float32)
        packed |= tl.where(held, codes_of(entry, low, high, bits).to(tl.int32), 0) << (part * bits)
    at = head.to(tl.int64) * room + newest
    tl.store(code + at * n + byte, packed.to(tl.uint8), mask=byte < n)
    tl.store(ends + at * 2, low.to(ends.dtype.element_ty))
    tl.store(ends + at * 2 + 1, high.to(ends.dtype.element_ty))


@triton.jit
def channel_of(word, shift: tl.constexpr, n: tl.constexpr, bits: tl.constexpr):
    """Return the place, among a label's channels, of the codes at bit `shift` of words of four bytes."""
    return shift % 8 // bits * n + word * 4 + shift // 8


@triton.jit
def fraction_of(words, shift: tl.constexpr, bits: tl.constexpr):
    """Return 1 + code / 2^bits of the codes at bit `shift`: the leading bits of a mantissa, where none is converted."""
    up: tl.constexpr = 23 - bits - shift
    field: tl.constexpr = ((1 << bits) - 1) << (23 - bits)
    moved = words << up if up >= 0 else words >> -up
    return ((moved & field) | 0x3F800000).to(tl.float32, bitcast=True)


@triton.jit
def score_codes_kernel(
    query, code, ends, starts, stops, score, largest, heads, parts, room, columns, groups, per_part,
    r: tl.constexpr, n: tl.constexpr, pad: tl.constexpr, bits: tl.constexpr, block: tl.constexpr, of: tl.constexpr,
    stages: tl.constexpr, overlap: tl.constexpr,
):  # fmt: skip
    """Multiply labels with query [B, H, r]: score [B, H, columns] and largest (store_scores). Grid [B * H * parts].

    Tokens starts[b] .. stops[b] - 1 of code [B, H, room, n / 4] int32 and ends [B, H, room, 2] are read. Each part
    covers per_part of them, a multiple of block.
    """
    follow(overlap)
    most: tl.constexpr = (1 << bits) - 1
    program = tl.program_id(0)
    head = program // parts
    start = tl.load(starts + head // heads)
    stop = tl.load(stops + head // heads)
    query += head * r
    word = tl.arange(0, pad)
    whole = tl.zeros([pad], tl.float32)
    for shift in tl.static_range(0, 32, bits):
        place = channel_of(word, shift, n, bits)
        whole += tl.load(query + place, mask=(word < n // 4) & (place < r), other=0.0)
    asked = tl.sum(whole, 0)
    code += head.to(tl.int64) * room * (n // 4)
    ends += head.to(tl.int64) * room * 2
    score += head.to(tl.int64) * columns
    largest += head.to(tl.int64) * groups
    begin = program % parts * per_part
    end = tl.minimum(begin + per_part, stop)
    for first in tl.range(tl.maximum(begin, start // block * block), end, block, num_stages=stages):
        token = first + tl.arange(0, block)
        live = (token >= start) & (token < stop)
        at = token.to(tl.int64)
        there = live[:, None] & (word < n // 4)[None, :]
        words = tl.load(code + at[:, None] * (n // 4) + word[None, :], mask=there, other=0)
        low = tl.load(ends + at * 2, mask=live, other=0.0).to(tl.float32)
        high = tl.load(ends + at * 2 + 1, mask=live, other=0.0).to(tl.float32)
        product = tl.zeros([block, pad], tl.float32)
        for shift in tl.static_range(0, 32, bits):
            place = channel_of(word, shift, n, bits)
            factor = tl.load(query + place, mask=(word < n // 4) & (place < r), other=0.0)
            product += fraction_of(words, shift, bits) * factor[None, :]
        codes = (tl.sum(product, 1) - asked) * (1 << bits)
        store_scores(
            score, largest, codes * ((high - low) / most) + low * asked, first, columns, groups, start, stop, of
        )  # fmt: skip
