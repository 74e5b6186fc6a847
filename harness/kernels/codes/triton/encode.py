"""Encodes the tokens that a step makes due, where they lie in the cache. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.codes.triton.decode import settled_of
from harness.kernels.shared.triton.launch import follow


@triton.jit
def nearest(x):
    """Round x, of magnitude below 2^22, to the nearest integer, ties to even."""
    return (x + 12582912.0) - 12582912.0


@triton.jit
def e4m3_of(x):
    """Return the bits of the nearest number of E4M3, ties to an even mantissa; larger ones become +-448."""
    bits = x.to(tl.int32, bitcast=True)
    size = tl.minimum(tl.abs(x), 448.0)
    wide = size.to(tl.int32, bitcast=True)
    normal = ((wide + 0x7FFFF + ((wide >> 20) & 1)) >> 20) - (120 << 3)
    small = nearest(size * 512.0).to(tl.int32)  # below the least exponent, in steps of 2^-9
    return tl.where(size < 0.015625, small, normal) | ((bits >> 24) & 0x80)


@triton.jit
def ends_of_channels(x, x_n, token, d: tl.constexpr, width: tl.constexpr, tokens: tl.constexpr, rows: tl.constexpr):
    """Return the least and the greatest entry of each channel [width] in `tokens` tokens from `token` on."""
    column = tl.arange(0, width)[None, :]
    least = tl.full([width], float("inf"), tl.float32)
    most = tl.full([width], -float("inf"), tl.float32)
    for begin in range(0, tokens, rows):
        at = (token + begin + tl.arange(0, rows))[:, None].to(tl.int64)
        entry = tl.load(x + at * x_n + column, mask=column < d, other=0.0).to(tl.float32)
        least = tl.minimum(least, tl.min(entry, 0))
        most = tl.maximum(most, tl.max(entry, 0))
    return least, most


@triton.jit
def ends_of_token(x, x_n, token, d: tl.constexpr, width: tl.constexpr, channels: tl.constexpr):
    """Return the least and the greatest entry of each group of `channels` of one token, [width / channels]."""
    column = tl.arange(0, width // channels)[:, None] * channels + tl.arange(0, channels)[None, :]
    at = (token + tl.arange(0, 1))[:, None].to(tl.int64)
    entry = tl.load(x + at * x_n + column, mask=column < d, other=0.0).to(tl.float32)
    least = tl.min(tl.where(column < d, entry, float("inf")), 1)
    most = tl.max(tl.where(column < d, entry, -float("inf")), 1)
    real = least <= most
    return tl.where(real, least, 0.0), tl.where(real, most, 0.0)


@triton.jit
def write_codes(
    x, x_n, codes, scale, low, s_t, s_c, begin, end, d: tl.constexpr, bits: tl.constexpr, tokens: tl.constexpr,
    channels: tl.constexpr, each: tl.constexpr, pad: tl.constexpr, floats: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    """Write the codes of tokens begin .. end - 1, `rows` at most, by the scales that are stored."""
    most: tl.constexpr = (1 << bits) - 1
    token = begin + tl.arange(0, rows)[:, None]
    byte = tl.arange(0, pad)[None, :]
    packed = tl.zeros([rows, pad], tl.int32)
    for part in tl.static_range(8 // bits):
        column = part * each + byte
        real = (token < end) & (byte < each) & (column < d)
        entry = tl.load(x + token.to(tl.int64) * x_n + column, mask=real, other=0.0).to(tl.float32)
        group = token // tokens * s_t + column // channels * s_c
        step = tl.load(scale + group, mask=real, other=1.0).to(tl.float32)
        if floats:
            code = e4m3_of(tl.div_rn(entry, step))
        else:
            entry -= tl.load(low + group, mask=real, other=0.0).to(tl.float32)
            code = nearest(tl.div_rn(entry, tl.where(step == 0, 1.0, step)))
            code = tl.minimum(tl.maximum(code, 0.0), most).to(tl.int32)
        packed |= tl.where(real, code, 0) << (part * bits)
    where = codes + token.to(tl.int64) * each + byte
    tl.store(where, packed.to(tl.uint8), mask=(token < end) & (byte < each))


@triton.jit
def encode_due(
    x, x_n, codes, scale, low, s_t, s_c, base, live, tail, chunk, d: tl.constexpr, width: tl.constexpr,
    bits: tl.constexpr, tokens: tl.constexpr, channels: tl.constexpr, each: tl.constexpr, pad: tl.constexpr,
    floats: tl.constexpr, learns: tl.constexpr, rows: tl.constexpr,
):  # fmt: skip
    """Encode the tokens of x [N, d] that became due with the last of `live`; those before `base` are the prompt's."""
    most: tl.constexpr = (1 << bits) - 1
    end = settled_of(live, tail, chunk)
    if ((live - tail) % chunk == 0) & (end - chunk >= base):
        for begin in range(end - chunk, end, tokens):
            if learns:
                if tokens == 1:
                    least, greatest = ends_of_token(x, x_n, begin, d, width, channels)
                    group = tl.arange(0, width // channels)
                else:
                    least, greatest = ends_of_channels(x, x_n, begin, d, width, tokens, rows)
                    group = tl.arange(0, width)
                step = tl.div_rn(greatest - least, tl.full(least.shape, most, tl.float32)).to(scale.dtype.element_ty)
                step = tl.where(step == 0, 1.0, step.to(tl.float32)).to(scale.dtype.element_ty)
                where = begin // tokens * s_t + group * s_c
                tl.store(scale + where, step, mask=group * channels < d)
                tl.store(low + where, least.to(low.dtype.element_ty), mask=group * channels < d)
                tl.debug_barrier()  # the codes are written by what is stored
            for row in range(begin, begin + tokens, rows):
                write_codes(
                    x, x_n, codes, scale, low, s_t, s_c, row, begin + tokens, d, bits, tokens, channels, each, pad,
                    floats, rows,
                )  # fmt: skip


@triton.jit
def encode_kernel(
    k, v, k_codes, k_scale, k_low, v_codes, v_scale, v_low, firsts, k_base, v_base, stops,
    k_b, k_h, k_n, v_b, v_h, v_n,  # strides of k and v
    ks_b, ks_h, ks_t, ks_c, vs_b, vs_h, vs_t, vs_c,  # strides of scales and least numbers
    heads, room, exact, k_tail, k_chunk, v_tail, v_chunk,
    d: tl.constexpr, width: tl.constexpr,
    k_bits: tl.constexpr, k_tokens: tl.constexpr, k_channels: tl.constexpr, k_each: tl.constexpr,
    k_pad: tl.constexpr, k_floats: tl.constexpr, k_learns: tl.constexpr, k_rows: tl.constexpr,
    v_bits: tl.constexpr, v_tokens: tl.constexpr, v_channels: tl.constexpr, v_each: tl.constexpr,
    v_pad: tl.constexpr, v_floats: tl.constexpr, v_learns: tl.constexpr, v_rows: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Encode what this step makes due: of K in one half of the programs, of V in the other. Grid [B * H * 2].

    Tokens lie at places: place i is column firsts[b] + i of k and v. The `exact` newest tokens of a step, none or one,
    do not count for what is due.
    """
    follow(overlap)
    head = tl.program_id(0) // 2
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    first = tl.load(firsts + batch)
    live = tl.load(stops + batch) - first - exact
    if tl.program_id(0) % 2 == 0:
        encode_due(
            k + batch * k_b + inner * k_h + first.to(tl.int64) * k_n, k_n, k_codes + head.to(tl.int64) * room * k_each,
            k_scale + batch * ks_b + inner * ks_h, k_low + batch * ks_b + inner * ks_h, ks_t, ks_c,
            tl.load(k_base + batch), live, k_tail, k_chunk, d, width, k_bits, k_tokens, k_channels, k_each, k_pad,
            k_floats, k_learns, k_rows,
        )  # fmt: skip
    else:
        encode_due(
            v + batch * v_b + inner * v_h + first.to(tl.int64) * v_n, v_n, v_codes + head.to(tl.int64) * room * v_each,
            v_scale + batch * vs_b + inner * vs_h, v_low + batch * vs_b + inner * vs_h, vs_t, vs_c,
            tl.load(v_base + batch), live, v_tail, v_chunk, d, width, v_bits, v_tokens, v_channels, v_each, v_pad,
            v_floats, v_learns, v_rows,
        )  # fmt: skip
