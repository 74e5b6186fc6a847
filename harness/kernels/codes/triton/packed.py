"""Reads codes back in short floats, four bytes at a time and two numbers in a register. Importing this needs Triton.

A token's codes are words [block, n] int32. A byte holds codes of channels that lie W apart, a word four bytes, so that
a part of the channels comes from the same bits of all bytes. Half a word is a short float: 0x6400 + c is 1024 + c in
float16, 0x4300 + c is 128 + c in bfloat16.
"""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.codes.triton.decode import of_groups


@triton.jit
def lanes_of(even, odd, dtype: tl.constexpr):
    """Take words [block, n] that hold a short float of bytes 0 and 2, and of 1 and 3, apart: [block, n, 4]."""
    pairs = tl.join(tl.join(even, even >> 16), tl.join(odd, odd >> 16))
    return tl.reshape(pairs, [even.shape[0], even.shape[1], 4]).to(tl.int16).to(dtype, bitcast=True)


@triton.jit
def codes_at(words, shift: tl.constexpr, bits: tl.constexpr, dtype: tl.constexpr):
    """Return the codes of so few bits, at bit `shift` of every byte, as whole numbers [block, n, 4]."""
    field: tl.constexpr = ((1 << bits) - 1) * 0x00010001
    mantissa: tl.constexpr = 0x64006400 if dtype == tl.float16 else 0x43004300
    offset: tl.constexpr = 1024.0 if dtype == tl.float16 else 128.0
    even = ((words >> shift) & field) | mantissa
    odd = ((words >> (shift + 8)) & field) | mantissa
    return lanes_of(even, odd, dtype) - offset


@triton.jit
def bytes_of(words, dtype: tl.constexpr):
    """Return every byte as a whole number [block, n, 4], from halves that the mantissa of any short float holds."""
    if dtype == tl.float16:
        found = codes_at(words, 0, 8, dtype)
    else:
        found = codes_at(words, 4, 4, dtype) * 16.0 + codes_at(words, 0, 4, dtype)
    return found


@triton.jit
def e4m3_lanes(words, dtype: tl.constexpr):
    """Return the number of E4M3 that every byte is, [block, n, 4]: its bits are those of one with a longer exponent."""
    up: tl.constexpr = 7 if dtype == tl.float16 else 4
    unit: tl.constexpr = 2.0**8 if dtype == tl.float16 else 2.0**120
    odd = words >> 8
    even = ((words & 0x007F007F) << up) | ((words & 0x00800080) << 8)
    odd = ((odd & 0x007F007F) << up) | ((odd & 0x00800080) << 8)
    return lanes_of(even, odd, dtype) * unit


@triton.jit
def in_order(words, bits: tl.constexpr, dtype: tl.constexpr, floats: tl.constexpr):
    """Return the codes of all parts by channels, [block, parts, n, 4] with no axis of one part."""
    if floats:
        found = e4m3_lanes(words, dtype)
    elif bits == 8:
        found = bytes_of(words, dtype)
    elif bits == 4:
        found = tl.permute(tl.join(codes_at(words, 0, 4, dtype), codes_at(words, 4, 4, dtype)), (0, 3, 1, 2))
    else:
        even = tl.join(codes_at(words, 0, 2, dtype), codes_at(words, 4, 2, dtype))
        odd = tl.join(codes_at(words, 2, 2, dtype), codes_at(words, 6, 2, dtype))
        found = tl.permute(tl.join(even, odd), (0, 3, 4, 1, 2))
    return found


@triton.jit
def read_packed(
    words, scale, low, s_t, s_c, first, stop, valid, width: tl.constexpr, block: tl.constexpr, bits: tl.constexpr,
    tokens: tl.constexpr, channels: tl.constexpr, dtype: tl.constexpr, floats: tl.constexpr,
):  # fmt: skip
    """Return what `read_back` does, in dtype, from words [C, width * bits / 32]; floats are not scaled yet."""
    n: tl.constexpr = width * bits // 32
    token = (first + tl.arange(0, block)).to(tl.int64)
    held = tl.load(words + token[:, None] * n + tl.arange(0, n)[None, :], mask=valid[:, None], other=0)
    found = tl.reshape(in_order(held, bits, dtype, floats), [block, width])
    if not floats:
        step = of_groups(scale, s_t, s_c, first, stop, width, width, block, tokens, channels).to(dtype)
        least = of_groups(low, s_t, s_c, first, stop, width, width, block, tokens, channels).to(dtype)
        found = tl.fma(found, step, least)
    return found
