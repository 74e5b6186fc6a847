"""Computes exact attention over the newest tokens and chosen older ones: the last launches of every operator."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.mass import KeptShare, SoftmaxMass
from harness.kernels.shared.parts import Parts
from harness.kernels.shared.tiles import AttendTiles, attend_tiles, logit_rows, power


@dataclass(frozen=True)
class Chosen:
    """Holds chosen columns [B, H, K] int32; where fewer tokens are older than the window, the first entries count.

    `independent`: the launch that chooses them writes nothing that attention to the window reads, so that the two may
    run side by side.
    """

    columns: Tensor
    independent: bool = False

    @property
    def k(self) -> int:
        """Return how many columns are chosen."""
        return self.columns.shape[2]


def attend(  # noqa: PLR0913  all but two have defaults
    q: Tensor,
    cache: KVCache,
    chosen: Chosen | None = None,
    *,
    window: int = 0,
    mass: SoftmaxMass | None = None,
    mix_mean: bool = False,
    logits: Tensor | None = None,
    scale: float | None = None,
    tiles: AttendTiles | None = None,
) -> Tensor:
    """Attend from q [B, H, G, D] to the newest `window` tokens and the chosen columns; returns [B, H, G, D].

    The chosen are older than the window, without repeats. With `mass` the output is scaled by the share of it that is
    kept, and with mix_mean the mean of V gets the rest. `logits` [B, H, G, K] float32, if given, receives the scaled
    logits of K chosen columns (window must be 0). Any of these may then be padding, whose logit is -inf.
    Raises InputError where q does not fit the cache.
    """
    check_query(q, cache.k)
    if logits is not None and window:
        raise InputError("logits are kept for chosen columns only: set window=0")
    b, h, group, d = q.shape
    chosen = chosen or Chosen(q.new_empty(b, h, 0, dtype=torch.int32))
    tokens = min(window, cache.longest) + chosen.k
    tiles = tiles or attend_tiles(b * h, group, tokens, power(d), processors(q.device))
    share = KeptShare(mass, mix_mean)
    return _launch(q.contiguous(), cache, chosen, window, share, logits, d**-0.5 if scale is None else scale, tiles)


def _launch(
    q: Tensor,
    cache: KVCache,
    chosen: Chosen,
    window: int,
    share: KeptShare,
    logits: Tensor | None,
    scale: float,
    tiles: AttendTiles,
) -> Tensor:
    from harness.kernels.shared.triton.attend import attend_kernel  # needs Triton

    b, h, group, d = q.shape
    parts, out = Parts.of(q, tiles.parts), torch.empty_like(q)
    masked, temperature, peak, total, kept = share.pointers(out)
    v_sum = out if cache.v_sum is None else cache.v_sum
    attend_kernel[(b * h * parts.count,)](
        q, cache.k, cache.v, chosen.columns.contiguous(), cache.padding, cache.kv_lengths, masked, temperature, peak,
        total, kept, v_sum, out, out if logits is None else logits, *parts.pointers, *cache.k.stride()[:3],
        *cache.v.stride()[:3], h, parts.count, share.programs, window, chosen.k, scale, g=group,
        rows=logit_rows(group), d=d, width=power(d), block=tiles.block, newest=window > 0,
        keep_logits=logits is not None, many=parts.count > 1, approximate=share.is_approximate, known=share.is_known,
        stages=tiles.stages, ahead=window > 0 and chosen.independent, num_warps=tiles.warps, **share.options,
        **overlap(q.device),
    )  # fmt: skip
    return parts.combined(cache, out, share)
