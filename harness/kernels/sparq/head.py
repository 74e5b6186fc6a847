"""Launches the ways of SparQ in which one program takes a KV head: without a group, K stored channel-major."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.kernels.shared.attend import Chosen
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap, processors
from harness.kernels.shared.mass import SoftmaxMass
from harness.kernels.shared.tiles import power
from harness.kernels.sparq.channels import Channels
from harness.kernels.sparq.knobs import Knobs
from harness.kernels.sparq.tiles import HeadTiles


def choose_by_head(q: Tensor, cache: KVCache, knobs: Knobs, tiles: HeadTiles) -> tuple[Chosen, SoftmaxMass]:
    """Do steps 1 to 3 of SparQ in one launch; returns the best tokens, and the mass of all and of the kept ones."""
    from harness.kernels.sparq.triton.single import single_kernel  # needs Triton

    kt, channels = _channel_major(cache), Channels.empty(q, knobs.r)
    index, key, scratch = _places(q, knobs)
    mass = SoftmaxMass.empty(q, 1, channels.query, knows_kept=True)
    single_kernel[(q.shape[0] * q.shape[1],)](
        q, kt, *channels.pointers, cache.padding, cache.kv_lengths, index, key, scratch, mass.peak, mass.total,
        mass.kept, *kt.stride()[:3], kt.shape[3], q.shape[1], knobs.window, knobs.chosen, knobs.scale,
        **_options(q, kt, knobs, tiles), slots=scratch.shape[3],
    )  # fmt: skip
    return Chosen(index, independent=True), mass


def fused(q: Tensor, cache: KVCache, knobs: Knobs, tiles: HeadTiles) -> Tensor:
    """Do all of SparQ in one launch; returns [B, H, 1, D]."""
    from harness.kernels.sparq.triton.fused import fused_kernel  # needs Triton

    kt, channels = _channel_major(cache), Channels.empty(q, knobs.r)
    index, key, scratch = _places(q, knobs)
    out = torch.empty_like(q)
    v_sum = out if cache.v_sum is None else cache.v_sum
    fused_kernel[(q.shape[0] * q.shape[1],)](
        q, cache.k, cache.v, kt, cache.padding, cache.kv_lengths, v_sum, *channels.pointers, index, key, scratch, out,
        *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3], kt.shape[3], q.shape[1], knobs.window,
        knobs.chosen, knobs.scale, **_options(q, kt, knobs, tiles), slots=scratch.shape[3], block=tiles.block,
        mix=knobs.reallocate,
    )  # fmt: skip
    return out


def _channel_major(cache: KVCache) -> Tensor:
    assert cache.kt is not None, "one program takes a KV head where K is stored channel-major"
    return cache.kt


def _places(q: Tensor, knobs: Knobs) -> tuple[Tensor, Tensor, Tensor]:
    """Allocate the chosen columns [B, H, k] and their logits, and space for a first, narrower choice."""
    b, h, _, _ = q.shape
    index = torch.empty(b, h, knobs.chosen, dtype=torch.int32, device=q.device)
    slots = power(knobs.chosen + knobs.chosen // 2 + 32)
    key = torch.empty_like(index, dtype=torch.float32)
    return index, key, key.new_empty(b, h, 2, slots)


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
