"""SparQ decode attention on the GPU (Ribar et al., ICML 2024, arXiv 2312.04985, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache
from harness.kernels.channels import Channels
from harness.kernels.choice import Candidates, Mass
from harness.kernels.plan import GroupTiles, ScoreTiles, overlap, power, processors, score_tiles
from harness.kernels.require import check_query
from harness.kernels.top_weights import choose_stored, row_logits


@dataclass(frozen=True)
class Knobs:
    """SparQ's knobs as the kernels take them: `want` tokens chosen among those older than the newest `window`."""

    r: int
    window: int
    want: int
    scale: float
    reallocate: bool

    @classmethod
    def of(cls, d: int, longest: int, r: int, k: int, local: int | None, scale: float | None, mix: bool) -> Knobs:
        """From the paper's knobs: k + 1 tokens are kept, and those of age <= local are among them."""
        if r < 1 or k < 1:
            raise InputError(f"sparq needs r and k of at least 1, not {r} and {k}")
        local = min(k // 4 if local is None else local, k)
        want = min(k - local, max(longest - local - 1, 0))
        return cls(min(r, d), local + 1, want, d**-0.5 if scale is None else scale, mix)


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
    """SparQ attention [B, H, G, D] of q [B, H, G, D]; the newest token must be in the cache already.

    Exactly harness/methods/selection/sparq.py. With cache.kt the r channels are read from it, without it all of K is.
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


def _choose(q: Tensor, cache: KVCache, knobs: Knobs, tiles: ScoreTiles) -> tuple[Candidates, Mass]:
    """Steps 1 to 3 of SparQ, and the mass of all approximate logits."""
    if cache.kt is not None and q.shape[2] == 1:
        return _best(q, cache, cache.kt, knobs, tiles)
    channels = Channels.chosen(q, knobs.r, knobs.scale)
    scores, mass = row_logits(q, cache, channels) if cache.kt is None else _scores(q, cache, cache.kt, channels)
    return choose_stored(scores, cache, knobs.window, knobs.want), mass


def _best(q: Tensor, cache: KVCache, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> tuple[Candidates, Mass]:
    """The best tokens of each chunk, without a group."""
    from harness.kernels.jit_score import score_kernel  # needs Triton

    b, h = q.shape[:2]
    single = cache.longest <= tiles.chunk
    best = Candidates.empty(q, cache.longest, tiles.chunk, knobs.want, knobs.window, alone=single)
    channels = Channels.empty(q, knobs.r, best.chunks)
    mass = Mass.empty(q, best.chunks, channels, known=single)
    score_kernel[(b * h * best.chunks,)](
        q, kt, *channels.pointers, cache.start, cache.stop, best.position, best.key, best.rough(), mass.peak,
        mass.total, mass.peak if mass.held is None else mass.held, *kt.stride()[:3], kt.shape[3], h, best.chunks,
        knobs.window, knobs.want, knobs.scale, **_options(q, kt, knobs, tiles), room=best.room,
    )  # fmt: skip
    return best, mass


def _scores(q: Tensor, cache: KVCache, kt: Tensor, channels: Channels) -> tuple[Tensor, Mass]:
    """Scores of all tokens, [B, H, N], for groups of query heads."""
    from harness.kernels.jit_group import group_score_kernel  # needs Triton

    b, h, group, _ = q.shape
    r, tiles = channels.index.shape[3], GroupTiles()
    chunks = -(-cache.longest // (tiles.tile * tiles.tiles))
    scores = torch.empty(b, h, cache.longest, dtype=torch.float32, device=q.device)
    mass = Mass.empty(q, chunks, channels)
    group_score_kernel[(b * h * chunks,)](
        kt, channels.packed, channels.index, channels.temperature, cache.start, cache.stop, scores, mass.peak,
        mass.total, *kt.stride()[:3], kt.shape[3], h, chunks, cache.longest, r=r, ranks=power(r), g=group,
        rows=power(group, 8), tile=tiles.tile, tiles=tiles.tiles, stages=tiles.stages,
        covered=kt.shape[3] % tiles.tile == 0, num_warps=tiles.warps, **overlap(q.device),
    )  # fmt: skip
    return scores, mass


def _options(q: Tensor, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> dict[str, object]:
    """What the score kernel and the fused kernel have in common."""
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
    from harness.kernels.jit_fused import fused_kernel  # needs Triton

    b, h = q.shape[:2]
    best = Candidates.empty(q, cache.longest, tiles.chunk, knobs.want, knobs.window)
    channels = Channels.empty(q, knobs.r)
    out = torch.empty_like(q)
    fused_kernel[(b * h,)](
        q, cache.k, cache.v, kt, cache.start, cache.stop, cache.v_sum, *channels.pointers, best.position, best.key,
        best.rough(), out, *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3], kt.shape[3], h,
        knobs.window, knobs.want, knobs.scale, **_options(q, kt, knobs, tiles), room=best.room, block=tiles.block,
        mix=knobs.reallocate,
    )  # fmt: skip
    return out
