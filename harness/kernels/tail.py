"""A method's own tokens, old and new, behind the prompt that all methods share: one launch."""

from __future__ import annotations

from torch import Tensor

from harness.kernels.plan import power

Pair = tuple[Tensor, Tensor]
"""K and V."""


def extend(new: Pair, tail: Pair, cache: Pair, columns: Tensor) -> None:
    """Put T new tokens into a tail at its places `columns` [T] int64, and the tail up to there behind the prompt.

    new [B, H, T, D]; tail [B, H, R, D] and cache [B, H, S + R, D], whose K and V have the same strides.
    """
    from harness.kernels.jit_tail import extend_kernel  # needs Triton

    b, h, count, d = new[0].shape
    prompt = cache[0].shape[2] - tail[0].shape[2]
    strides = [stride for tensor in (*new, tail[0], cache[0]) for stride in tensor.stride()[:3]]
    extend_kernel[(b * h,)](
        *new, *tail, *cache, columns, *strides, h, count, prompt, d=d, width=power(d), block=8, num_warps=2
    )
