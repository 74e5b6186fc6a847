"""One decoded token into every copy of the cache. Importing this file needs Triton."""

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
    """Grid [B * H]: new_k, new_v [B, H, d] go to column stops[b] of k, v and kt; v_sum [B, H, d] float32 grows."""
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
