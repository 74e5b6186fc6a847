"""Launches the ways of SparQ in which programs choose by themselves: without a group, K stored channel-major."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.kernels.choice.chunks import ChunkChoices
from harness.kernels.shared.attend import Chosen
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap, processors
from harness.kernels.shared.mass import SoftmaxMass
from harness.kernels.shared.tiles import power
from harness.kernels.sparq.channels import Channels
from harness.kernels.sparq.knobs import Knobs
from harness.kernels.sparq.tiles import HeadTiles


def choose_alone(q: Tensor, cache: KVCache, knobs: Knobs, tiles: HeadTiles) -> tuple[Chosen, SoftmaxMass]:
    """Do steps 1 to 3 of SparQ; returns the best tokens, the mass of all and, with a single chunk, of the kept ones."""
    from harness.kernels.sparq.triton.chunk import score_choose_kernel  # needs Triton

    kt, b, h = _channel_major(cache), *q.shape[:2]
    best = ChunkChoices.empty(q, cache.longest, tiles.chunk, knobs.chosen, knobs.window)
    channels = Channels.empty(q, knobs.r, programs=best.chunks)
    mass = SoftmaxMass.empty(q, best.chunks, channels.query, knows_kept=best.chunks == 1)
    scratch = _scratch(best.key)
    score_choose_kernel[(b * h * best.chunks,)](
        q, kt, *channels.pointers, cache.padding, cache.kv_lengths, best.position, best.key, scratch, mass.peak,
        mass.total, mass.peak if mass.kept is None else mass.kept, *kt.stride()[:3], kt.shape[3], h, best.chunks,
        knobs.window, knobs.chosen, knobs.scale, **_options(q, kt, knobs, tiles), slots=scratch.shape[-1],
    )  # fmt: skip
    return Chosen(best.best(cache), independent=True), mass


def fused(q: Tensor, cache: KVCache, knobs: Knobs, tiles: HeadTiles) -> Tensor:
    """Do all of SparQ in one launch; returns [B, H, 1, D]."""
    from harness.kernels.sparq.triton.fused import fused_kernel  # needs Triton

    kt, channels = _channel_major(cache), Channels.empty(q, knobs.r)
    best = ChunkChoices.empty(q, cache.longest, cache.longest, knobs.chosen, knobs.window)
    scratch, out = _scratch(best.key), torch.empty_like(q)
    v_sum = out if cache.v_sum is None else cache.v_sum
    fused_kernel[(q.shape[0] * q.shape[1],)](
        q, cache.k, cache.v, kt, cache.padding, cache.kv_lengths, v_sum, *channels.pointers, best.position, best.key,
        scratch, out,
        *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3], kt.shape[3], q.shape[1], knobs.window,
        knobs.chosen, knobs.scale, **_options(q, kt, knobs, tiles), slots=scratch.shape[-1], block=tiles.block,
        mix=knobs.reallocate,
    )  # fmt: skip
    return out


def _channel_major(cache: KVCache) -> Tensor:
    assert cache.kt is not None, "one program takes a KV head where K is stored channel-major"
    return cache.kt


def _scratch(key: Tensor) -> Tensor:
    """Allocate space for the first, narrower choice of each chunk: key [.., k] -> [.., 2, slots]."""
    k = key.shape[-1]
    return key.new_empty(*key.shape[:-1], 2, power(k + k // 2 + 32))


def _options(q: Tensor, kt: Tensor, knobs: Knobs, tiles: HeadTiles) -> dict[str, object]:
    """Return the options that both kernels have in common."""
    return {
        "r": knobs.r,
        "d": q.shape[3],
        "width": power(q.shape[3]),
        "chunk": tiles.chunk,
        "stages": tiles.stages,
        "covered": kt.shape[3] % tiles.chunk == 0,
        "wait": tiles.wait if q.is_cuda else 0,  # only a GPU has programs to keep apart
        "processors": processors(q.device),
        "resident": tiles.resident,
        "narrow": tiles.narrow,
        "num_warps": tiles.warps,
        "maxnreg": tiles.registers,
        **overlap(q.device),
    }
