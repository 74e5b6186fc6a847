"""Exact attention over chosen tokens, dense attention, and the patterns that need no scores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.cache import KVCache
from harness.kernels.choice import Candidates, Mass
from harness.kernels.plan import AttendTiles, attend_tiles, logit_rows, overlap, power, processors
from harness.kernels.require import check_query


def attend(  # noqa: PLR0913  all but two have defaults
    q: Tensor,
    cache: KVCache,
    chosen: Candidates | None = None,
    *,
    window: int = 0,
    mass: Mass | None = None,
    mix_mean: bool = False,
    logits: Tensor | None = None,
    scale: float | None = None,
    tiles: AttendTiles | None = None,
) -> Tensor:
    """Attention output [B, H, G, D] of q over the newest `window` tokens and the chosen columns.

    The chosen are older than the window, without repeats. With `mass` the output is scaled by the share of it that is
    kept, and with mix_mean the mean of V gets the rest. `logits` [B, H, G, K] float32, if given, receives the scaled
    logits of K chosen columns (window must be 0), which may then be dead in any place: they are skipped, and their
    logit is -inf.
    """
    check_query(q, cache.k)
    if logits is not None and window:
        raise InputError("logits are kept for chosen columns only: set window=0")
    b, h, group, d = q.shape
    chosen = chosen or Candidates.of(q.new_empty(b, h, 0, dtype=torch.int32))
    tokens = min(window, cache.longest) + chosen.want
    tiles = tiles or attend_tiles(b * h, group, tokens, power(d), processors(q.device))
    chosen = chosen.merged(cache) if tiles.parts > 1 else chosen
    share = _Share(mass, mix_mean)
    return _launch(q.contiguous(), cache, chosen, window, share, logits, d**-0.5 if scale is None else scale, tiles)


def dense(q: Tensor, cache: KVCache, *, scale: float | None = None, tiles: AttendTiles | None = None) -> Tensor:
    """Dense attention [B, H, G, D]: the window is everything; heads are split over programs until the GPU is full."""
    return attend(q, cache, window=cache.longest, scale=scale, tiles=tiles)


def lm_infinite(q: Tensor, cache: KVCache, *, k: int, initial: int = 16, scale: float | None = None) -> Tensor:
    """The `initial` oldest live tokens and the k - initial most recent, [B, H, G, D]."""
    b, h = q.shape[:2]
    oldest = cache.start[:, None] + torch.arange(min(initial, k), device=q.device, dtype=torch.int32)
    sink = Candidates.of(oldest[:, None].expand(b, h, -1))
    return attend(q, cache, sink, window=max(k - initial, 0), scale=scale)


@dataclass(frozen=True)
class _Share:
    """What the kept share of the output is measured by, and whether the mean of V gets the rest."""

    mass: Mass | None
    mix: bool

    @property
    def approximate(self) -> bool:
        """Whether the share is one of approximate logits, yet to be summed up."""
        return self.mass is not None and self.mass.channels is not None and not self.known

    @property
    def known(self) -> bool:
        """Whether the kept mass is."""
        return self.mass is not None and self.mass.held is not None

    @property
    def programs(self) -> int:
        """Programs per KV head that summed the mass up."""
        return 1 if self.mass is None else self.mass.peak.shape[2]

    @property
    def copies(self) -> int:
        """Masked queries per KV head."""
        return self.mass.channels.copies if self.mass is not None and self.mass.channels is not None else 1

    @property
    def options(self) -> dict[str, int]:
        """What the kernels are compiled for."""
        return {"share": self.mass is not None, "mix": self.mix, "pad_chunks": power(self.programs, 1)}

    def pointers(self, unused: Tensor) -> Iterator[Tensor]:
        """Masked query, temperature, peak, total and kept mass; any tensor where the kernels touch none."""
        m = self.mass
        c = None if m is None else m.channels
        found = (*((c.masked, c.temperature) if c else (None,) * 2), *((m.peak, m.total, m.held) if m else (None,) * 3))
        return (unused if tensor is None else tensor for tensor in found)


def _launch(
    q: Tensor,
    cache: KVCache,
    chosen: Candidates,
    window: int,
    share: _Share,
    logits: Tensor | None,
    scale: float,
    tiles: AttendTiles,
) -> Tensor:
    from harness.kernels.jit_attend import attend_kernel  # needs Triton
    from harness.kernels.jit_combine import combine_kernel

    b, h, group, d = q.shape
    parts, out = tiles.parts, torch.empty_like(q)
    partial = q.new_empty((b, h, parts, group, d) if parts > 1 else 1, dtype=torch.float32)
    sums = q.new_empty((3, b, h, parts, group) if parts > 1 else (3, 1), dtype=torch.float32)
    common = {"g": group, "d": d, "width": power(d), **share.options, **overlap(q.device)}
    masked, temperature, peak, total, held = share.pointers(out)
    # A merge leaves its index in global memory, where copies ahead of their use need not find it: no stages then.
    attend_kernel[(b * h * parts,)](
        q, cache.k, cache.v, chosen.index(), cache.start, cache.stop, chosen.position, chosen.key, masked, temperature,
        peak, total, held, cache.v_sum, out, out if logits is None else logits, partial, *sums, *cache.k.stride()[:3],
        *cache.v.stride()[:3], h, parts, chosen.chunks, share.programs, share.copies, window, chosen.want, scale,
        rows=logit_rows(group), block=tiles.block, newest=window > 0, keep_logits=logits is not None, many=parts > 1,
        approximate=share.approximate, known=share.known, chunk=chosen.chunk, candidates=chosen.entries,
        stages=1 if chosen.entries else tiles.stages, ahead=window > 0 and chosen.alone, num_warps=tiles.warps,
        **common,
    )  # fmt: skip
    if parts > 1:
        combine_kernel[(b * h * group,)](
            partial, *sums, cache.start, cache.stop, peak, total, cache.v_sum, out, h, parts, share.programs,
            pad=power(parts, 1), num_warps=4, **common,
        )  # fmt: skip
    return out
