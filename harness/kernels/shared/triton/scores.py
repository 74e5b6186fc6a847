"""Stores scores with the largest of each group of neighbours, for a choice. Importing this file needs Triton."""

# mypy: ignore-errors
# Triton's language is not Python to a type checker, and its kernels take what a launch passes.
# ruff: noqa: ANN001, ANN201, PLR0913, PLR0917

import triton
import triton.language as tl


@triton.jit
def store_scores(score, largest, value, begin, columns, groups, start, limit, of: tl.constexpr):
    """Write value [tile], the scores of one KV head's columns from `begin` on, a multiple of `of`.

    largest [groups] gets the largest of each `of` neighbours; columns before `start` or from `limit` on do not count.
    """
    token = begin + tl.arange(0, value.shape[0])
    tl.store(score + token, value, mask=token < columns)
    counted = tl.where((token >= start) & (token < limit), value, -float("inf"))
    group = begin // of + tl.arange(0, value.shape[0] // of)
    tl.store(largest + group, tl.max(tl.reshape(counted, [value.shape[0] // of, of]), 1), mask=group < groups)
