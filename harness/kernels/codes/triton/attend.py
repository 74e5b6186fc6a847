"""Attends exactly to tokens of which the older are packed codes. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl

from harness.kernels.codes.triton.decode import read_back, settled_of
from harness.kernels.codes.triton.packed import read_packed
from harness.kernels.shared.triton.attend import leave
from harness.kernels.shared.triton.launch import follow
from harness.kernels.shared.triton.softmax import add_tokens, nothing, products, query_rows


@triton.jit
def tokens_of(
    exact, exact_n, codes, scale, low, s_t, s_c, first, settled, valid, d: tl.constexpr, width: tl.constexpr,
    block: tl.constexpr, bits: tl.constexpr, tokens: tl.constexpr, channels: tl.constexpr, each: tl.constexpr,
    floats: tl.constexpr, mixed: tl.constexpr, words: tl.constexpr, dtype: tl.constexpr,
):  # fmt: skip
    """Return the `valid` tokens [block, width] of a block: `mixed` ones are exact from `settled` on, others codes."""
    token = first + tl.arange(0, block)
    coded = valid
    if mixed:
        coded = valid & (token < settled)
    if words:
        found = read_packed(
            codes, scale, low, s_t, s_c, first, settled, coded, width, block, bits, tokens, channels, dtype, floats
        )
    else:
        found = read_back(
            codes, scale, low, s_t, s_c, first, settled, coded, d, width, block, bits, tokens, channels, each, floats
        ).to(dtype)
    if mixed:
        column = tl.arange(0, width)[None, :]
        newer = valid & (token >= settled)
        at = exact + token[:, None].to(tl.int64) * exact_n + column
        own = tl.load(at, mask=newer[:, None] & (column < d), other=0.0).to(dtype)
        found = tl.where(coded[:, None], found, own)
    return found


@triton.jit
def attend_codes(
    output, best, mass, query, k, v, k_n, v_n, k_codes, k_scale, k_low, v_codes, v_scale, v_low,
    ks_t, ks_c, vs_t, vs_c, k_settled, v_settled, oldest, begin, end, scale,
    g: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    k_bits: tl.constexpr, k_tokens: tl.constexpr, k_channels: tl.constexpr, k_each: tl.constexpr,
    k_floats: tl.constexpr, v_bits: tl.constexpr, v_tokens: tl.constexpr, v_channels: tl.constexpr,
    v_each: tl.constexpr, v_floats: tl.constexpr, words: tl.constexpr, mixed: tl.constexpr, stages: tl.constexpr,
):  # fmt: skip
    """Add the tokens at places begin .. end - 1, not older than `oldest`, to the sums; begin is a multiple of block."""
    for first in tl.range(begin, end, block, num_stages=stages):
        token = first + tl.arange(0, block)
        valid = (token >= oldest) & (token < end)
        key = tokens_of(
            k, k_n, k_codes, k_scale, k_low, ks_t, ks_c, first, k_settled, valid, d, width, block, k_bits, k_tokens,
            k_channels, k_each, k_floats, mixed, words, query.dtype,
        )  # fmt: skip
        value = tokens_of(
            v, v_n, v_codes, v_scale, v_low, vs_t, vs_c, first, v_settled, valid, d, width, block, v_bits, v_tokens,
            v_channels, v_each, v_floats, mixed, words, query.dtype,
        )  # fmt: skip
        logits = tl.where(valid[None, :], products(query, key, g) * scale, -float("inf"))
        output, best, mass = add_tokens(output, best, mass, logits, value, g, True)
    return output, best, mass


@triton.jit
def attend_codes_kernel(
    q, k, v, k_codes, k_scale, k_low, v_codes, v_scale, v_low, firsts, starts, stops, out,
    partial, bests, masses, helds,  # what a part leaves for combine_kernel
    k_b, k_h, k_n, v_b, v_h, v_n,  # strides of k and v
    ks_b, ks_h, ks_t, ks_c, vs_b, vs_h, vs_t, vs_c,  # strides of scales and least numbers
    heads, room, parts, exact, k_tail, k_chunk, v_tail, v_chunk, scale,
    g: tl.constexpr, rows: tl.constexpr, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
    k_bits: tl.constexpr, k_tokens: tl.constexpr, k_channels: tl.constexpr, k_each: tl.constexpr,
    k_floats: tl.constexpr, v_bits: tl.constexpr, v_tokens: tl.constexpr, v_channels: tl.constexpr,
    v_each: tl.constexpr, v_floats: tl.constexpr, words: tl.constexpr, many: tl.constexpr, stages: tl.constexpr,
    overlap: tl.constexpr,
):  # fmt: skip
    """Attend from q [B, H, g, d] to all tokens of a row that are in sight. Grid [B * H * parts].

    Tokens lie at places: place i is column firsts[b] + i of k and v, and entry i of the codes [B, H, room, each], which
    are bytes or, with `words`, four in one (packed.py). Columns starts[b] .. stops[b] - 1 are in sight. With `many`,
    each part stores its sums for combine_kernel.
    """
    follow(overlap)
    program = tl.program_id(0)
    head = program // parts
    part = program % parts
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    origin = tl.load(firsts + batch)
    oldest = tl.load(starts + batch) - origin
    live = tl.load(stops + batch) - origin
    k += batch * k_b + inner * k_h + origin.to(tl.int64) * k_n
    v += batch * v_b + inner * v_h + origin.to(tl.int64) * v_n
    k_codes += head.to(tl.int64) * room * (k_each // 4 if words else k_each)
    v_codes += head.to(tl.int64) * room * (v_each // 4 if words else v_each)
    k_scale += batch * ks_b + inner * ks_h
    k_low += batch * ks_b + inner * ks_h
    v_scale += batch * vs_b + inner * vs_h
    v_low += batch * vs_b + inner * vs_h
    k_settled = settled_of(live - exact, k_tail, k_chunk)
    v_settled = settled_of(live - exact, v_tail, v_chunk)
    if words and k_floats:  # as whole rows share it, scaling the logits is enough
        scale *= tl.load(k_scale)
    query = query_rows(q + head * g * d, g, rows, d, width)
    if g == 1:  # no tensor core wants short floats
        query = query.to(tl.float32)
    output, best, mass, _ = nothing(rows, width)

    begin = oldest // block * block
    per_part = tl.cdiv(tl.cdiv(live - begin, parts), block) * block
    begin += part * per_part
    end = tl.minimum(begin + per_part, live)
    settled = tl.minimum(k_settled, v_settled)
    whole = tl.where(settled == live, live, settled // block * block)  # no block of them holds an exact token
    middle = tl.maximum(tl.minimum(end, whole), begin)
    output, best, mass = attend_codes(
        output, best, mass, query, k, v, k_n, v_n, k_codes, k_scale, k_low, v_codes, v_scale, v_low, ks_t, ks_c, vs_t,
        vs_c, k_settled, v_settled, oldest, begin, middle, scale, g, d, width, block, k_bits, k_tokens, k_channels,
        k_each, k_floats, v_bits, v_tokens, v_channels, v_each, v_floats, words, False, stages,
    )  # fmt: skip
    output, best, mass = attend_codes(
        output, best, mass, query, k, v, k_n, v_n, k_codes, k_scale, k_low, v_codes, v_scale, v_low, ks_t, ks_c, vs_t,
        vs_c, k_settled, v_settled, oldest, middle, end, scale, g, d, width, block, k_bits, k_tokens, k_channels,
        k_each, k_floats, v_bits, v_tokens, v_channels, v_each, v_floats, words, True, 1,
    )  # fmt: skip
    if words and v_floats:
        output *= tl.load(v_scale)
    leave(output, best, mass, out, partial, bests, masses, helds, program, head, g, rows, d, width, many)
