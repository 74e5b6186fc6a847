"""Computes exact attention over the newest tokens and chosen older ones: the last launches of every operator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.mass import SoftmaxMass
from harness.kernels.shared.tiles import AttendTiles, attend_tiles, logit_rows, parts_at_once, power


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
    share = _KeptShare(mass, mix_mean)
    return _launch(q.contiguous(), cache, chosen, window, share, logits, d**-0.5 if scale is None else scale, tiles)


@dataclass(frozen=True)
class _KeptShare:
    """Says by what share of the softmax mass the output is scaled, and whether the mean of V gets the rest."""

    mass: SoftmaxMass | None
    mix: bool

    @property
    def is_known(self) -> bool:
        """Return True if the kernels that chose the tokens have summed up the kept mass too."""
        return self.mass is not None and self.mass.kept is not None

    @property
    def is_approximate(self) -> bool:
        """Return True if the kept mass is one of approximate logits and still to be summed up."""
        return self.mass is not None and self.mass.approximate is not None and not self.is_known

    @property
    def programs(self) -> int:
        """Count the programs per KV head that summed up the mass of all tokens."""
        return 1 if self.mass is None else self.mass.peak.shape[2]

    @property
    def options(self) -> dict[str, int]:
        """Return what the kernels are compiled for."""
        return {"share": self.mass is not None, "mix": self.mix, "pad_chunks": parts_at_once(self.programs)}

    def pointers(self, unused: Tensor) -> Iterator[Tensor]:
        """Yield masked query, temperature, peak, total and kept mass; `unused` where the kernels touch none."""
        sparse = None if self.mass is None else self.mass.approximate
        query = (sparse.masked, sparse.temperature) if sparse else (None, None)
        mass = (self.mass.peak, self.mass.total, self.mass.kept) if self.mass else (None, None, None)
        return (unused if tensor is None else tensor for tensor in (*query, *mass))


def _launch(
    q: Tensor,
    cache: KVCache,
    chosen: Chosen,
    window: int,
    share: _KeptShare,
    logits: Tensor | None,
    scale: float,
    tiles: AttendTiles,
) -> Tensor:
    from harness.kernels.shared.triton.attend import attend_kernel  # needs Triton
    from harness.kernels.shared.triton.combine import combine_kernel

    b, h, group, d = q.shape
    parts, out = tiles.parts, torch.empty_like(q)
    partial = q.new_empty((b, h, parts, group, d) if parts > 1 else 1, dtype=torch.float32)
    sums = q.new_empty((3, b, h, parts, group) if parts > 1 else (3, 1), dtype=torch.float32)
    common = {"g": group, "d": d, "width": power(d), **share.options, **overlap(q.device)}
    masked, temperature, peak, total, kept = share.pointers(out)
    v_sum = out if cache.v_sum is None else cache.v_sum
    attend_kernel[(b * h * parts,)](
        q, cache.k, cache.v, chosen.columns.contiguous(), cache.padding, cache.kv_lengths, masked, temperature, peak,
        total, kept, v_sum, out, out if logits is None else logits, partial, *sums, *cache.k.stride()[:3],
        *cache.v.stride()[:3], h, parts, share.programs, window, chosen.k, scale,
        rows=logit_rows(group), block=tiles.block, newest=window > 0, keep_logits=logits is not None,
        many=parts > 1, approximate=share.is_approximate, known=share.is_known, stages=tiles.stages,
        ahead=window > 0 and chosen.independent, num_warps=tiles.warps, **common,
    )  # fmt: skip
    if parts > 1:
        combine_kernel[(b * h * group,)](
            partial, *sums, cache.padding, cache.kv_lengths, peak, total, v_sum, out, h, parts, share.programs,
            pad=parts_at_once(parts), num_warps=4, **common,
        )  # fmt: skip
    return out
