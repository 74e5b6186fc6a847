"""Exact attention over chosen tokens, dense attention, and the patterns that need no scores."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.cache import KVCache
from harness.kernels.plan import AttendTiles, attend_tiles, logit_rows, power, processors
from harness.kernels.require import check_query


def attend(
    q: Tensor,
    cache: KVCache,
    index: Tensor | None = None,
    *,
    window: int = 0,
    alpha: Tensor | None = None,
    mix_mean: bool = False,
    logits: Tensor | None = None,
    scale: float | None = None,
    tiles: AttendTiles | None = None,
) -> Tensor:
    """Attention output [B, H, G, D] of q over the newest `window` tokens and the columns in index [B, H, K] int32.

    index holds tokens older than the window, without repeats; where a row has fewer live ones, its first entries count.
    alpha [B, H, G] float32 scales the output, and with mix_mean the mean of V gets what alpha leaves. `logits`
    [B, H, G, K] float32, if given, receives the scaled logits of the index (window must be 0).
    """
    check_query(q, cache.k)
    if logits is not None and window:
        raise InputError("logits are kept for an index only: set window=0")
    b, h, group, _ = q.shape
    listed = 0 if index is None else index.shape[2]
    tokens = min(window, cache.longest) + listed
    tiles = tiles or attend_tiles(b * h, group, tokens, power(q.shape[3]), processors(q.device))
    return _launch(q.contiguous(), cache, index, window, alpha, mix_mean, logits, scale, tiles)


def dense(q: Tensor, cache: KVCache, *, scale: float | None = None, tiles: AttendTiles | None = None) -> Tensor:
    """Dense attention [B, H, G, D]: the window is everything; heads are split over programs until the GPU is full."""
    return attend(q, cache, window=cache.longest, scale=scale, tiles=tiles)


def lm_infinite(q: Tensor, cache: KVCache, *, k: int, initial: int = 16, scale: float | None = None) -> Tensor:
    """The `initial` oldest live tokens and the k - initial most recent, [B, H, G, D]."""
    b, h = q.shape[:2]
    oldest = cache.start[:, None] + torch.arange(min(initial, k), device=q.device, dtype=torch.int32)
    return attend(q, cache, oldest[:, None].expand(b, h, -1).contiguous(), window=max(k - initial, 0), scale=scale)


def _launch(
    q: Tensor,
    cache: KVCache,
    index: Tensor | None,
    window: int,
    alpha: Tensor | None,
    mix_mean: bool,
    logits: Tensor | None,
    scale: float | None,
    tiles: AttendTiles,
) -> Tensor:
    from harness.kernels.jit_attend import attend_kernel, combine_kernel  # noqa: PLC0415  needs Triton

    b, h, group, d = q.shape
    many = tiles.parts > 1
    out = torch.empty_like(q)
    partial = q.new_empty((b, h, tiles.parts, group, d) if many else 1, dtype=torch.float32)
    sums = q.new_empty((2, b, h, tiles.parts, group) if many else (2, 1), dtype=torch.float32)
    alpha_, logits_ = (sums if t is None else t for t in (alpha, logits))
    shares = {"share": alpha is not None, "mix": mix_mean}
    attend_kernel[(b * h * tiles.parts,)](
        q, cache.k, cache.v, cache.start if index is None else index, cache.start, cache.stop, alpha_, cache.v_sum,
        out, logits_, partial, sums[0], sums[1], *cache.k.stride()[:3], *cache.v.stride()[:3], h, tiles.parts,
        window, 0 if index is None else index.shape[2], d**-0.5 if scale is None else scale,
        g=group, rows=logit_rows(group), d=d, width=power(d), block=tiles.block, newest=window > 0,
        keep_logits=logits is not None, many=many, **shares, stages=tiles.stages,
        num_warps=tiles.warps,
    )  # fmt: skip
    if many:
        combine_kernel[(b * h * group,)](
            partial, sums[0], sums[1], cache.start, cache.stop, alpha_, cache.v_sum, out, h, tiles.parts,
            g=group, d=d, width=power(d), pad=power(tiles.parts, 1), **shares, num_warps=4,
        )  # fmt: skip
    return out
