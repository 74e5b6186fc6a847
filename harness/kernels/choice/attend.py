"""Attends to the best tokens by stored scores: choice and exact attention, in one launch where few are chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.kernels.choice import TokenScores
from harness.kernels.choice.tiles import PickTiles, pick_tiles, picks
from harness.kernels.shared.attend import Chosen, attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap, processors
from harness.kernels.shared.mass import KeptShare, SoftmaxMass
from harness.kernels.shared.tiles import logit_rows, power


def attend_best(
    q: Tensor,
    cache: KVCache,
    scores: TokenScores,
    k: int,
    *,
    mass: SoftmaxMass | None = None,
    mix_mean: bool = False,
    scale: float | None = None,
    tiles: PickTiles | None = None,
) -> Tensor:
    """Attend from q [B, H, G, D] to the window of the scores and the k best older tokens; returns [B, H, G, D].

    With `mass` the output is scaled by the share of it that is kept, and with mix_mean the mean of V gets the rest.
    """
    b, h, group, d = q.shape
    picked = picks(k, scores.columns)
    tiles = tiles or pick_tiles(b * h, group, power(d), scores.groups, processors(q.device))
    if picked is None or tiles is None:
        best = Chosen(scores.best(cache, k), independent=True)
        return attend(q, cache, best, window=scores.window, mass=mass, mix_mean=mix_mean, scale=scale)
    share, scale = KeptShare(mass, mix_mean), d**-0.5 if scale is None else scale
    return _launch(q.contiguous(), cache, scores, k, picked, share, scale, tiles)


def _launch(
    q: Tensor,
    cache: KVCache,
    scores: TokenScores,
    k: int,
    picked: int,
    share: KeptShare,
    scale: float,
    tiles: PickTiles,
) -> Tensor:
    from harness.kernels.choice.triton.pick_attend import pick_attend_kernel  # needs Triton

    b, h, group, d = q.shape
    out, listed = torch.empty_like(q), torch.empty(b, h, picked + k, dtype=torch.int32, device=q.device)
    masked, temperature, peak, total, _ = share.pointers(out)
    v_sum = out if cache.v_sum is None else cache.v_sum
    pick_attend_kernel[(b * h,)](
        q, cache.k, cache.v, cache.padding, cache.kv_lengths, scores.score, scores.largest, listed, masked, temperature,
        peak, total, v_sum, out, *cache.k.stride()[:3], *cache.v.stride()[:3], h, scores.columns, scores.groups,
        share.programs, scores.window, k, scale, g=group, rows=logit_rows(group), d=d, width=power(d),
        block=tiles.block, newest=scores.window > 0, pad=power(scores.groups, 1024), picked=picked, of=scores.of,
        approximate=share.is_approximate, stages=tiles.stages, num_warps=tiles.warps, **share.options,
        **overlap(q.device),
    )  # fmt: skip
    return out
