"""Reads back what packed codes stand for, in registers. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917, PLR1714

import triton
import triton.language as tl


@triton.jit
def spread(ends, block: tl.constexpr, width: tl.constexpr):
    """Repeat what groups share, ends [T, C], for every entry of theirs, where broadcasting to [block, width] cannot."""
    tokens: tl.constexpr = ends.shape[0]
    channels: tl.constexpr = ends.shape[1]
    if (tokens == 1 or tokens == block) and (channels == 1 or channels == width):
        found = ends
    else:
        each = tl.broadcast_to(ends[:, None, :, None], [tokens, block // tokens, channels, width // channels])
        found = tl.reshape(each, [block, width])
    return found


@triton.jit
def of_groups(
    ends, s_t, s_c, first, stop, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    tokens: tl.constexpr, channels: tl.constexpr,
):  # fmt: skip
    """Load what groups of tokens x channels share, from token `first` on, as `spread` returns it; 0 beyond `stop`."""
    inner: tl.constexpr = tokens if tokens < block else block
    begin = tl.arange(0, block // inner) * inner
    channel = tl.arange(0, width // channels)
    at = ((first + begin) // tokens)[:, None] * s_t + channel[None, :] * s_c
    live = (first + begin < stop)[:, None] & (channel * channels < d)[None, :]
    return spread(tl.load(ends + at, mask=live, other=0.0).to(tl.float32), block, width)


@triton.jit
def read_back(
    codes, scale, low, s_t, s_c, first, stop, valid, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    bits: tl.constexpr, tokens: tl.constexpr, channels: tl.constexpr, each: tl.constexpr, floats: tl.constexpr,
):  # fmt: skip
    """Return [block, width] float32 of a head's tokens from `first` on, those `valid` [block]; others are finite.

    codes [C, each] uint8: a byte holds channels that lie `each` apart. Groups of tokens x channels share a scale and a
    least number, whose strides are s_t and s_c. `floats`: codes are E4M3, and only scaled.
    """
    column = tl.arange(0, width)
    token = (first + tl.arange(0, block)).to(tl.int64)
    live = valid[:, None] & (column < d)[None, :]
    byte = tl.load(codes + token[:, None] * each + (column % each)[None, :], mask=live, other=0).to(tl.int32)
    step = of_groups(scale, s_t, s_c, first, stop, d, width, block, tokens, channels)
    if floats:  # the bits of a float16 of another exponent
        half = (((byte & 0x7F) << 7) | ((byte & 0x80) << 8)).to(tl.int16).to(tl.float16, bitcast=True)
        found = half.to(tl.float32) * (step * 256.0)
    else:  # the leading bits of the mantissa of a float between 1 and 2: cheaper than to convert an integer
        up = tl.maximum(23 - bits - column // each * bits, 0)
        field: tl.constexpr = ((1 << bits) - 1) << (23 - bits)
        fraction = (((byte << up[None, :]) & field) | 0x3F800000).to(tl.float32, bitcast=True) - 1.0
        least = of_groups(low, s_t, s_c, first, stop, d, width, block, tokens, channels)
        found = fraction * (step * (1 << bits)) + least
    return found


@triton.jit
def settled_of(live, tail, chunk):
    """Return how many of `live` tokens are in codes, where the `chunk` oldest are encoded once `tail` are exact."""
    return tl.maximum((live - tail + chunk) // chunk * chunk, 0)
