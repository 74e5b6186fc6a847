"""Exact attention over chosen tokens, dense attention, and the patterns that need no scores."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.cache import KVCache
from harness.kernels.plan import AttendTiles, attend_tiles, logit_rows, overlap, power, processors
from harness.kernels.require import check_query


def attend(  # noqa: PLR0913  all but two have defaults
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
    [B, H, G, K] float32, if given, receives the scaled logits of the index (window must be 0), which may then hold dead
    columns in any place: they are skipped, and their logit is -inf.
    """
    check_query(q, cache.k)
    if logits is not None and window:
        raise InputError("logits are kept for an index only: set window=0")
    b, h, group, d = q.shape
    listed = 0 if index is None else index.shape[2]
    tokens = min(window, cache.longest) + listed
    tiles = tiles or attend_tiles(b * h, group, tokens, power(d), processors(q.device))
    mix = _Mix(alpha, mix_mean)
    return _launch(q.contiguous(), cache, index, window, mix, logits, d**-0.5 if scale is None else scale, tiles)


def dense(q: Tensor, cache: KVCache, *, scale: float | None = None, tiles: AttendTiles | None = None) -> Tensor:
    """Dense attention [B, H, G, D]: the window is everything; heads are split over programs until the GPU is full."""
    return attend(q, cache, window=cache.longest, scale=scale, tiles=tiles)


def lm_infinite(q: Tensor, cache: KVCache, *, k: int, initial: int = 16, scale: float | None = None) -> Tensor:
    """The `initial` oldest live tokens and the k - initial most recent, [B, H, G, D]."""
    b, h = q.shape[:2]
    oldest = cache.start[:, None] + torch.arange(min(initial, k), device=q.device, dtype=torch.int32)
    return attend(q, cache, oldest[:, None].expand(b, h, -1).contiguous(), window=max(k - initial, 0), scale=scale)


@dataclass(frozen=True)
class _Mix:
    """What scales the output [B, H, G], and whether the mean of V gets what that leaves."""

    alpha: Tensor | None
    mean: bool


def _launch(
    q: Tensor,
    cache: KVCache,
    index: Tensor | None,
    window: int,
    mix: _Mix,
    logits: Tensor | None,
    scale: float,
    tiles: AttendTiles,
) -> Tensor:
    from harness.kernels.jit_attend import attend_kernel  # needs Triton
    from harness.kernels.jit_combine import combine_kernel

    b, h, group, d = q.shape
    parts = tiles.parts
    out = torch.empty_like(q)
    partial = q.new_empty((b, h, parts, group, d) if parts > 1 else 1, dtype=torch.float32)
    sums = q.new_empty((2, b, h, parts, group) if parts > 1 else (2, 1), dtype=torch.float32)
    alpha, kept_logits = (sums if t is None else t for t in (mix.alpha, logits))  # sums: any pointer, never touched
    common = {"g": group, "d": d, "width": power(d), "share": mix.alpha is not None, "mix": mix.mean}
    common |= overlap(q.device)
    attend_kernel[(b * h * parts,)](
        q, cache.k, cache.v, cache.start if index is None else index, cache.start, cache.stop, alpha, cache.v_sum,
        out, kept_logits, partial, sums[0], sums[1], *cache.k.stride()[:3], *cache.v.stride()[:3], h, parts,
        window, 0 if index is None else index.shape[2], scale, rows=logit_rows(group), block=tiles.block,
        newest=window > 0, keep_logits=logits is not None, many=parts > 1, stages=tiles.stages,
        num_warps=tiles.warps, **common,
    )  # fmt: skip
    if parts > 1:
        combine_kernel[(b * h * group,)](
            partial, sums[0], sums[1], cache.start, cache.stop, alpha, cache.v_sum, out, h, parts,
            pad=power(parts, 1), num_warps=4, **common,
        )  # fmt: skip
    return out
