"""Computes ShadowKV's decode step: landmarks choose chunks, attended to by rebuilt keys beside all that is exact."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix
from harness.kernels.binding import KernelBinding, LayerKernel
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.parts import Parts
from harness.kernels.shared.tiles import AttendTiles, attend_tiles, logit_rows, power
from harness.kernels.top_weights import token_weights
from harness.methods.selection.shadow_kv import Shadow, ShadowKV


@dataclass(frozen=True)
class Chunks:
    """Holds what a prompt leaves behind, in chunks of `size` tokens that are counted from column first [B] int32.

    landmarks: [B, H, W, D] of the chunks that can be chosen, as the cache that is read to score them. number: [B, H, W]
    int32, which these are; the first counts [B] int32 are real. rebuilt: [B, H, S, D] their tokens' keys, by columns.
    exact: [B, H, E] int32 columns of the odd chunks, of which the first exacts [B] int32 are real. From column tail [B]
    int32 on all tokens are exact.
    """

    landmarks: KVCache
    number: Tensor
    counts: Tensor
    rebuilt: Tensor
    exact: Tensor
    exacts: Tensor
    first: Tensor
    tail: Tensor
    size: int

    @classmethod
    def of(cls, state: Shadow, size: int) -> Self:
        """Take over what a method makes of the prompt, what is real first."""
        number, exact = _real_first(state.remain), _real_first(state.odd)
        first, tail = (column[:, 0, 0].int() for column in (state.first, state.tail))
        return cls(
            _as_cache(state.landmarks.gather(2, number[..., None].expand_as(state.landmarks)), _count(state.remain)),
            number.int(),
            _count(state.remain),
            state.rebuilt.contiguous(),
            state.exact.gather(2, exact).int(),
            _count(state.odd),
            first,
            tail,
            size,
        )


def attend_to_chunks(
    q: Tensor,
    cache: KVCache,
    chunks: Chunks,
    *,
    count: int,
    scale: float | None = None,
    tiles: AttendTiles | None = None,
) -> Tensor:
    """Attend, [B, H, G, D], to the `count` chunks with the heaviest landmarks by rebuilt keys, and to all exact tokens.

    A landmark's weight is the largest of any query head of the group. The newest token must be in the cache already.
    The definition is harness/methods/selection/shadow_kv.py. Raises InputError where q does not fit the cache.
    """
    check_query(q, cache.k)
    q, (b, h, group, d) = q.contiguous(), q.shape
    scale = d**-0.5 if scale is None else scale
    chosen = _choose(q, chunks, min(count, chunks.number.shape[2]), scale)
    tokens = chosen.shape[2] * chunks.size + chunks.exact.shape[2] + cache.longest - chunks.rebuilt.shape[2]
    tiles = tiles or attend_tiles(b * h, group, tokens, power(d), processors(q.device))
    return _attend(q, cache, chunks, chosen, scale, tiles)


def _choose(q: Tensor, chunks: Chunks, count: int, scale: float) -> Tensor:
    """Return the places [B, H, count] int32 of the heaviest landmarks."""
    if not count:
        return chunks.number[..., :0].contiguous()
    scores, _ = token_weights(q, chunks.landmarks, count, scale, heaviest=True)
    return scores.best(chunks.landmarks, count)


def _attend(q: Tensor, cache: KVCache, chunks: Chunks, chosen: Tensor, scale: float, tiles: AttendTiles) -> Tensor:
    from harness.kernels.landmarks.triton import attend_chunks_kernel  # needs Triton

    b, h, group, d = q.shape
    parts, out = Parts.of(q, tiles.parts), torch.empty_like(q)
    attend_chunks_kernel[(b * h * parts.count,)](
        q, cache.k, cache.v, chunks.rebuilt, chosen, chunks.number, chunks.counts, chunks.exact, chunks.exacts,
        chunks.first, chunks.tail, cache.padding, cache.kv_lengths, out, *parts.pointers, *cache.k.stride()[:3],
        *cache.v.stride()[:3], h, parts.count, chosen.shape[2], chunks.number.shape[2], chunks.exact.shape[2],
        chunks.rebuilt.shape[2], scale, g=group, rows=logit_rows(group), d=d, width=power(d), block=tiles.block,
        size=chunks.size, many=parts.count > 1, stages=tiles.stages, num_warps=tiles.warps, **overlap(q.device),
    )  # fmt: skip
    return parts.combined(cache, out)


def _as_cache(landmarks: Tensor, counts: Tensor) -> KVCache:
    """Return landmarks [B, H, W, D] as keys; a row without any scores one that attention leaves out."""
    first = torch.zeros_like(counts)
    return KVCache(landmarks, landmarks, None, None, first, counts.clamp_min(1), landmarks.shape[2])


def _real_first(real: Tensor) -> Tensor:
    """Return the places of entries [B, H, N] bool, those that are True first, in their order."""
    return real.to(torch.uint8).sort(dim=2, descending=True, stable=True).indices


def _count(real: Tensor) -> Tensor:
    """Count the entries [B, H, N] that are True in each row, [B] int32: as many in every head."""
    return real[:, 0].sum(-1, dtype=torch.int32)


def _bind(m: ShadowKV) -> KernelBinding:
    def for_layer(prefix: LayerPrefix) -> LayerKernel:
        return partial(attend_to_chunks, chunks=Chunks.of(m.start(prefix), m.chunk), count=m.k // m.chunk)

    return KernelBinding(for_layer)


BINDINGS = {ShadowKV: _bind}
