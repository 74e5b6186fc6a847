"""Attends to what an eviction at the end of the prompt has left, and to all newer tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter
from harness.attention.survivors import Survivors
from harness.kernels.binding import KernelBinding
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.parts import Parts
from harness.kernels.shared.tiles import AttendTiles, attend_tiles, logit_rows, power
from harness.methods.cost import LayerAt
from harness.methods.prompt_eviction import PromptEviction


@dataclass(frozen=True)
class Left:
    """Holds the columns of the prompt's tokens that are left, index [B, H, K] int32, of which counts [B, H] are real.

    own [B, H, G, K] uint8 says which of them are each query head's; None: all are everyone's. `prompt` counts the
    prompt's columns. Where the method is measured, `meter` counts `bits` for each token that a KV head reads.
    """

    index: Tensor
    counts: Tensor
    own: Tensor | None
    prompt: int
    meter: Meter | None = None
    bits: float = 0.0

    @classmethod
    def of(cls, survivors: Survivors, bits: float = 0.0) -> Self:
        """Take over what a method keeps."""
        counts = survivors.own.any(2).sum(-1, dtype=torch.int32)
        own = survivors.own.to(torch.uint8).contiguous() if survivors.own.shape[2] > 1 else None
        return cls(survivors.index.int().contiguous(), counts, own, survivors.prompt, survivors.meter, bits)

    def __call__(self, q: Tensor, cache: KVCache, *, scale: float | None = None) -> Tensor:
        """Attend from q [B, H, G, D] to what is left and to all newer tokens."""
        if self.meter is not None:
            self.meter.note((self._in_sight(cache) + 1) * self.bits)
        return attend_to_left(q, cache, self, scale=scale)

    def _in_sight(self, cache: KVCache) -> Tensor:
        """Count the tokens that each KV head reads, [B, H]."""
        start = cache.padding[:, None]
        real = torch.arange(self.index.shape[2], device=start.device) < self.counts[..., None]
        newer = cache.kv_lengths[:, None] - start.clamp_min(self.prompt)
        return (real & (self.index >= start[..., None])).sum(-1) + newer


def attend_to_left(
    q: Tensor, cache: KVCache, left: Left, *, scale: float | None = None, tiles: AttendTiles | None = None
) -> Tensor:
    """Attend from q [B, H, G, D] to what is left of the prompt and to all newer tokens; returns [B, H, G, D].

    The newest token must be in the cache already. The definition is harness/methods/prompt_eviction.py. Raises
    InputError where q does not fit the cache.
    """
    check_query(q, cache.k)
    b, h, group, d = q.shape
    tokens = left.index.shape[2] + cache.longest - left.prompt
    tiles = tiles or attend_tiles(b * h, group, tokens, power(d), processors(q.device))
    return _launch(q.contiguous(), cache, left, d**-0.5 if scale is None else scale, tiles)


def _launch(q: Tensor, cache: KVCache, left: Left, scale: float, tiles: AttendTiles) -> Tensor:
    from harness.kernels.prompt_eviction.triton import attend_left_kernel  # needs Triton

    b, h, group, d = q.shape
    parts, out = Parts.of(q, tiles.parts), torch.empty_like(q)
    own = left.index if left.own is None else left.own
    attend_left_kernel[(b * h * parts.count,)](
        q, cache.k, cache.v, left.index, left.counts, own, cache.padding, cache.kv_lengths, out, *parts.pointers,
        *cache.k.stride()[:3], *cache.v.stride()[:3], h, parts.count, left.index.shape[2], left.prompt, scale, g=group,
        d=d, width=power(d), rows=logit_rows(group), block=tiles.block, personal=left.own is not None,
        many=parts.count > 1, stages=tiles.stages, num_warps=tiles.warps, **overlap(q.device),
    )  # fmt: skip
    return parts.combined(cache, out)


def _bind(m: PromptEviction) -> KernelBinding:
    def for_layer(prefix: LayerPrefix) -> Left:
        bits = LayerAt(1, prefix.k.shape[3], prompt=1).newest if m.measured else 0.0
        return Left.of(m.start(prefix), bits)

    return KernelBinding(for_layer, meter_of=lambda left: left.meter)


BINDINGS = {PromptEviction: _bind}
