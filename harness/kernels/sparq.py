"""SparQ decode attention on the GPU (Ribar et al., ICML 2024, arXiv 2312.04985, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache
from harness.kernels.choice import Candidates, Mass
from harness.kernels.plan import ScoreTiles, overlap, power, processors, score_tiles
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

    Exactly harness/methods/sparq.py. With cache.kt the r channels are read from it, without it all of K is.
    """
    check_query(q, cache.k)
    q = q.contiguous()
    knobs = Knobs.of(q.shape[3], cache.longest, r, k, local, scale, reallocate)
    heads = q.shape[0] * q.shape[1]
    tiles = tiles or score_tiles(heads, q.shape[2], cache.longest, knobs.r, processors(q.device))
    if tiles.fused and q.shape[2] == 1 and cache.kt is not None:
        return _fused(q, cache, cache.kt, knobs, tiles)
    best, mass = _choose(q, cache, knobs, tiles)
    return attend(
        q, cache, best, window=knobs.window, mass=mass if reallocate else None, mix_mean=reallocate, scale=knobs.scale
    )  # fmt: skip


def _choose(q: Tensor, cache: KVCache, knobs: Knobs, tiles: ScoreTiles) -> tuple[Candidates, Mass]:
    """Steps 1 to 3 of SparQ, and the mass of all approximate logits."""
    if cache.kt is None:
        scores, mass = row_logits(q, cache, knobs.scale, knobs.r)
        return choose_stored(scores, cache, knobs.window, knobs.want), mass
    best, mass = _score(q, cache, cache.kt, knobs, tiles)
    return best if tiles.select else choose_stored(best.key, cache, knobs.window, knobs.want), mass


def _score(q: Tensor, cache: KVCache, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> tuple[Candidates, Mass]:
    from harness.kernels.jit_score import score_kernel  # needs Triton

    b, h, group, _ = q.shape
    chunks = -(-cache.longest // tiles.chunk)
    keep = chunks > 1 or not tiles.select
    key = torch.empty(b, h, cache.longest if keep else 0, dtype=torch.float32, device=q.device)
    position = torch.empty(b, h, chunks, knobs.want, dtype=torch.int32, device=q.device)
    mass = Mass.empty(q, chunks, approximate=True)
    score_kernel[(b * h * chunks,)](
        q, kt, *_scratch(q, chunks, knobs.r), mass.temperature, mass.masked, cache.start, cache.stop, position, key,
        mass.peak, mass.total, *kt.stride()[:3], kt.shape[3], h, chunks, cache.longest, knobs.window, knobs.want,
        knobs.scale, **_options(q, kt, knobs, tiles), g=group, rows=power(group, 1), select=tiles.select, keep=keep,
    )  # fmt: skip
    return Candidates(position, key, tiles.chunk, knobs.window), mass


def _scratch(q: Tensor, programs: int, r: int) -> tuple[Tensor, Tensor]:
    """For each program of a KV head, the query at its chosen channels [G, r] float32, and those channels [r] int32."""
    b, h, group, _ = q.shape
    packed = torch.empty(b, h, programs, group, r, dtype=torch.float32, device=q.device)
    return packed, torch.empty_like(packed[:, :, :, 0], dtype=torch.int32)


def _options(q: Tensor, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> dict[str, object]:
    """What the score kernel and the fused kernel have in common."""
    return {
        "r": knobs.r,
        "d": q.shape[3],
        "width": power(q.shape[3]),
        "chunk": tiles.chunk,
        "together": tiles.together if knobs.r % tiles.together == 0 else 1,
        "stages": tiles.stages,
        "covered": kt.shape[3] % tiles.chunk == 0,
        "wait": tiles.wait if q.is_cuda else 0,  # only a GPU has programs to keep apart
        "processors": processors(q.device),
        "resident": tiles.resident,
        "num_warps": tiles.warps,
        "maxnreg": tiles.registers,
        **overlap(q.device),
    }


def _fused(q: Tensor, cache: KVCache, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> Tensor:
    from harness.kernels.jit_fused import fused_kernel  # needs Triton

    b, h = q.shape[:2]
    mass = Mass.empty(q, 1, approximate=True)
    position = torch.empty(b, h, knobs.want, dtype=torch.int32, device=q.device)
    out = torch.empty_like(q)
    fused_kernel[(b * h,)](
        q, cache.k, cache.v, kt, cache.start, cache.stop, cache.v_sum, *_scratch(q, 1, knobs.r), mass.temperature,
        mass.masked, position, out, *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3], kt.shape[3], h,
        knobs.window, knobs.want, knobs.scale, **_options(q, kt, knobs, tiles), block=tiles.block,
        mix=knobs.reallocate,
    )  # fmt: skip
    return out
