"""Puts new tokens into caches, one launch for all copies: the cache of a step, or a method's own decoded tokens."""

from __future__ import annotations

from torch import Tensor

from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import require
from harness.kernels.shared.tiles import power

Pair = tuple[Tensor, Tensor]
"""K and V."""


def append(cache: KVCache, k: Tensor, v: Tensor) -> None:
    """Add one token per row, k and v [B, H, D], to every copy in the cache, which must have space for it.

    Nothing waits for the GPU. Raises InputError where Triton cannot run.
    """
    require(k.device)
    assert cache.v_sum is not None, "a cache that grows carries the sum of V"
    from harness.kernels.append.triton import append_kernel  # needs Triton

    b, h, d = k.shape
    kt = cache.k if cache.kt is None else cache.kt
    append_kernel[(b * h,)](
        k.contiguous(), v.contiguous(), cache.k, cache.v, kt, cache.v_sum, cache.kv_lengths,
        *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3], h,
        d=d, width=power(d), transposed=cache.kt is not None, num_warps=1,
    )  # fmt: skip
    cache.kv_lengths += 1
    cache.longest = min(cache.longest + 1, cache.capacity)


def extend(new: Pair, decoded: Pair, cache: Pair, columns: Tensor) -> None:
    """Put T new tokens at places `columns` [T] int64 of a method's decoded ones, and all of these behind the prompt.

    new [B, H, T, D]; decoded [B, H, R, D] and cache [B, H, S + R, D], whose K and V have the same strides.
    """
    from harness.kernels.append.triton import extend_kernel  # needs Triton

    b, h, count, d = new[0].shape
    prompt = cache[0].shape[2] - decoded[0].shape[2]
    strides = [stride for tensor in (*new, decoded[0], cache[0]) for stride in tensor.stride()[:3]]
    extend_kernel[(b * h,)](
        *new, *decoded, *cache, columns, *strides, h, count, prompt, d=d, width=power(d), block=8, num_warps=2
    )
