"""Products with rows of K and V: on tensor cores where a group of queries fills them. Importing needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201

import triton
import triton.language as tl


@triton.jit
def products(query, key, g: tl.constexpr):
    """query [rows, width] times key [block, width] -> [rows, block] in float32; a single row needs no tensor core."""
    if g == 1:
        return tl.sum(key.to(tl.float32) * query.to(tl.float32), 1)[None, :]
    return tl.dot(query, tl.trans(key), input_precision="ieee")


@triton.jit
def mixtures(weight, value, g: tl.constexpr):
    """weight [rows, block] times value [block, width] -> [rows, width] in float32."""
    if g == 1:
        return tl.sum(tl.sum(weight, 0)[:, None] * value.to(tl.float32), 0)[None, :]
    return tl.dot(weight.to(value.dtype), value, input_precision="ieee")
