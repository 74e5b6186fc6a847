"""Puts new tokens into caches. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl


@triton.jit
def append_kernel(
    new_k, new_v, k, v, kt, v_sum, stops, k_b, k_h, k_n, v_b, v_h, v_n, kt_b, kt_h, kt_d, heads,
    d: tl.constexpr, width: tl.constexpr, transposed: tl.constexpr,
):  # fmt: skip
    """Put new_k, new_v [B, H, d] into column stops[b] of k, v and kt; add new_v to v_sum [B, H, d]. Grid [B * H]."""
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    at = tl.load(stops + batch).to(tl.int64)
    column = tl.arange(0, width)
    inside = column < d
    key = tl.load(new_k + head * d + column, mask=inside)
    value = tl.load(new_v + head * d + column, mask=inside)
    tl.store(k + batch * k_b + inner * k_h + at * k_n + column, key, mask=inside)
    tl.store(v + batch * v_b + inner * v_h + at * v_n + column, value, mask=inside)
    if transposed:
        tl.store(kt + batch * kt_b + inner * kt_h + column.to(tl.int64) * kt_d + at, key, mask=inside)
    total = tl.load(v_sum + head * d + column, mask=inside)
    tl.store(v_sum + head * d + column, total + value.to(tl.float32), mask=inside)


@triton.jit
def extend_kernel(
    new_k, new_v, decoded_k, decoded_v, k, v, columns, nk_b, nk_h, nk_n, nv_b, nv_h, nv_n,
    t_b, t_h, t_n, c_b, c_h, c_n, heads, count, prompt, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Put `count` new tokens behind columns[0] decoded ones, and all of these behind the `prompt` columns of k and v.

    Grid [B * H].
    """
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    new_k += batch * nk_b + inner * nk_h
    new_v += batch * nv_b + inner * nv_h
    decoded_k += batch * t_b + inner * t_h
    decoded_v += batch * t_b + inner * t_h
    k += batch * c_b + inner * c_h + prompt * c_n
    v += batch * c_b + inner * c_h + prompt * c_n
    done = tl.load(columns)
    column = tl.arange(0, width)[None, :]
    for first in range(0, done, block):
        token = first + tl.arange(0, block)[:, None]
        held = (token < done) & (column < d)
        key = tl.load(decoded_k + token * t_n + column, mask=held)
        value = tl.load(decoded_v + token * t_n + column, mask=held)
        tl.store(k + token * c_n + column, key, mask=held)
        tl.store(v + token * c_n + column, value, mask=held)
    for first in range(0, count, block):
        token = first + tl.arange(0, block)[:, None]
        fresh = (token < count) & (column < d)
        key = tl.load(new_k + token * nk_n + column, mask=fresh)
        value = tl.load(new_v + token * nv_n + column, mask=fresh)
        tl.store(decoded_k + (done + token) * t_n + column, key, mask=fresh)
        tl.store(decoded_v + (done + token) * t_n + column, value, mask=fresh)
        tl.store(k + (done + token) * c_n + column, key, mask=fresh)
        tl.store(v + (done + token) * c_n + column, value, mask=fresh)
