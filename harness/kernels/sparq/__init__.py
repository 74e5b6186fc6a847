"""Computes SparQ's decode attention (Ribar et al., ICML 2024, arXiv 2312.04985, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.binding import KernelBinding
from harness.kernels.shared.attend import attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.choice import Candidates, SoftmaxMass
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.tiles import power
from harness.kernels.sparq.channels import Channels
from harness.kernels.sparq.tiles import GroupTiles, ScoreTiles, score_tiles
from harness.kernels.top_weights import choose_stored, row_logits
from harness.methods.selection.sparq import SparQ


@dataclass(frozen=True)
class Knobs:
    """Holds SparQ's knobs as the kernels take them: `chosen` tokens among those older than the newest `window`."""

    r: int
    window: int
    chosen: int
    scale: float
    reallocate: bool

    @classmethod
    def of(cls, d: int, longest: int, r: int, k: int, local: int | None, scale: float | None, mix: bool) -> Knobs:
        """Translate the paper's knobs: k + 1 tokens are kept, and those of age <= local are among them."""
        if r < 1 or k < 1:
            raise InputError(f"sparq needs r and k of at least 1, not {r} and {k}")
        local = min(k // 4 if local is None else local, k)
        chosen = min(k - local, max(longest - local - 1, 0))
        return cls(min(r, d), local + 1, chosen, d**-0.5 if scale is None else scale, mix)


def sparq(
    q: Tensor,
    cache: KVCache,
    *,
    r: int,
    k: int,
    local: int | None = None,
    reallocate: bool = True,
    scale: float | None = None,
    tiles: ScoreTiles | None = None,
) -> Tensor:
    """Compute SparQ's output [B, H, G, D] for q [B, H, G, D]; the newest token must be in the cache already.

    The definition is harness/methods/selection/sparq.py. With cache.kt r channels of K are read to choose, without it
    all of K is. Raises InputError where q does not fit the cache, or for r or k below 1.
    """
    check_query(q, cache.k)
    q = q.contiguous()
    knobs = Knobs.of(q.shape[3], cache.longest, r, k, local, scale, reallocate)
    heads = q.shape[0] * q.shape[1]
    tiles = tiles or score_tiles(heads, cache.longest, knobs.r, processors(q.device))
    if tiles.fused and cache.kt is not None and q.shape[2] == 1:
        return _fused(q, cache, cache.kt, knobs, tiles)
    best, mass = _choose(q, cache, knobs, tiles)
    return attend(
        q, cache, best, window=knobs.window, mass=mass if reallocate else None, mix_mean=reallocate, scale=knobs.scale
    )  # fmt: skip


def _bind(m: SparQ) -> KernelBinding:
    knobs = {"r": m.r, "k": m.k, "local": m.local, "reallocate": m.reallocate}
    return KernelBinding.stateless(sparq, reads_mean=m.reallocate, **knobs)


BINDINGS = {SparQ: _bind}


def _choose(q: Tensor, cache: KVCache, knobs: Knobs, tiles: ScoreTiles) -> tuple[Candidates, SoftmaxMass]:
    """Do steps 1 to 3 of SparQ; returns the best tokens and the mass of all approximate logits."""
    if cache.kt is not None and q.shape[2] == 1:
        return _best(q, cache, cache.kt, knobs, tiles)
    channels = Channels.chosen(q, knobs.r, knobs.scale)
    scores, mass = row_logits(q, cache, channels.query) if cache.kt is None else _scores(q, cache, cache.kt, channels)
    return choose_stored(scores, cache, knobs.window, knobs.chosen), mass


def _best(q: Tensor, cache: KVCache, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> tuple[Candidates, SoftmaxMass]:
    """Choose the best tokens of each chunk, without a group."""
    from harness.kernels.sparq.triton.score import score_kernel  # needs Triton

    b, h = q.shape[:2]
    single = cache.longest <= tiles.chunk
    best = Candidates.empty(q, cache.longest, tiles.chunk, knobs.chosen, knobs.window, independent=single)
    channels = Channels.empty(q, knobs.r, best.chunks)
    mass = SoftmaxMass.empty(q, best.chunks, channels.query, knows_kept=single)
    score_kernel[(b * h * best.chunks,)](
        q, kt, *channels.pointers, cache.padding, cache.kv_lengths, best.position, best.scores, best.scratch(),
        mass.peak, mass.total, mass.peak if mass.kept is None else mass.kept, *kt.stride()[:3], kt.shape[3], h,
        best.chunks, knobs.window, knobs.chosen, knobs.scale, **_options(q, kt, knobs, tiles), slots=best.slots,
    )  # fmt: skip
    return best, mass


def _scores(q: Tensor, cache: KVCache, kt: Tensor, channels: Channels) -> tuple[Tensor, SoftmaxMass]:
    """Score all tokens for groups of query heads; returns scores [B, H, N] and their mass."""
    from harness.kernels.sparq.triton.group import group_score_kernel  # needs Triton

    b, h, group, _ = q.shape
    r, tiles = channels.index.shape[3], GroupTiles()
    chunks = -(-cache.longest // (tiles.tile * tiles.tiles))
    scores = torch.empty(b, h, cache.longest, dtype=torch.float32, device=q.device)
    mass = SoftmaxMass.empty(q, chunks, channels.query)
    group_score_kernel[(b * h * chunks,)](
        kt, channels.packed, channels.index, channels.query.temperature, cache.padding, cache.kv_lengths, scores,
        mass.peak, mass.total, *kt.stride()[:3], kt.shape[3], h, chunks, cache.longest, r=r, ranks=power(r), g=group,
        rows=power(group, 8), tile=tiles.tile, tiles=tiles.tiles, stages=tiles.stages,
        covered=kt.shape[3] % tiles.tile == 0, num_warps=tiles.warps, **overlap(q.device),
    )  # fmt: skip
    return scores, mass


def _options(q: Tensor, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> dict[str, object]:
    """Return the options that the score kernel and the fused kernel have in common."""
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


def _fused(q: Tensor, cache: KVCache, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> Tensor:
    """Do all of SparQ in one launch, a program per KV head, without a group; returns [B, H, 1, D]."""
    from harness.kernels.sparq.triton.fused import fused_kernel  # needs Triton

    b, h = q.shape[:2]
    best = Candidates.empty(q, cache.longest, tiles.chunk, knobs.chosen, knobs.window)
    channels = Channels.empty(q, knobs.r)
    out = torch.empty_like(q)
    v_sum = out if cache.v_sum is None else cache.v_sum
    fused_kernel[(b * h,)](
        q, cache.k, cache.v, kt, cache.padding, cache.kv_lengths, v_sum, *channels.pointers, best.position,
        best.scores, best.scratch(), out, *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3], kt.shape[3],
        h, knobs.window, knobs.chosen, knobs.scale, **_options(q, kt, knobs, tiles), slots=best.slots,
        block=tiles.block, mix=knobs.reallocate,
    )  # fmt: skip
    return out
