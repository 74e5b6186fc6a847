"""A method's own tokens behind the prompt that all methods share. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl


@triton.jit
def extend_kernel(
    new_k, new_v, tail_k, tail_v, k, v, columns, nk_b, nk_h, nk_n, nv_b, nv_h, nv_n,
    t_b, t_h, t_n, c_b, c_h, c_n, heads, count, prompt, d: tl.constexpr, width: tl.constexpr, block: tl.constexpr,
):  # fmt: skip
    """Grid [B * H]: `count` new tokens go to a tail from columns[0] on, the tail behind `prompt` columns of k, v."""
    head = tl.program_id(0)
    batch = (head // heads).to(tl.int64)
    inner = (head % heads).to(tl.int64)
    new_k += batch * nk_b + inner * nk_h
    new_v += batch * nv_b + inner * nv_h
    tail_k += batch * t_b + inner * t_h
    tail_v += batch * t_b + inner * t_h
    k += batch * c_b + inner * c_h + prompt * c_n
    v += batch * c_b + inner * c_h + prompt * c_n
    done = tl.load(columns)
    column = tl.arange(0, width)[None, :]
    for first in range(0, done, block):
        token = first + tl.arange(0, block)[:, None]
        held = (token < done) & (column < d)
        key = tl.load(tail_k + token * t_n + column, mask=held)
        value = tl.load(tail_v + token * t_n + column, mask=held)
        tl.store(k + token * c_n + column, key, mask=held)
        tl.store(v + token * c_n + column, value, mask=held)
    for first in range(0, count, block):
        token = first + tl.arange(0, block)[:, None]
        fresh = (token < count) & (column < d)
        key = tl.load(new_k + token * nk_n + column, mask=fresh)
        value = tl.load(new_v + token * nv_n + column, mask=fresh)
        tl.store(tail_k + (done + token) * t_n + column, key, mask=fresh)
        tl.store(tail_v + (done + token) * t_n + column, value, mask=fresh)
        tl.store(k + (done + token) * c_n + column, key, mask=fresh)
        tl.store(v + (done + token) * c_n + column, value, mask=fresh)
