"""SparQ decode attention on the GPU (Ribar et al., ICML 2024, arXiv 2312.04985, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache
from harness.kernels.choice import Candidates, Choice
from harness.kernels.plan import ScoreTiles, logit_rows, overlap, power, processors, score_tiles
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
    if tiles.fused and cache.kt is not None:
        return _fused(q, cache, cache.kt, knobs, tiles)
    choice = choose_tokens(q, cache, knobs, tiles)
    alpha = choice.alpha if reallocate else None
    return attend(
        q, cache, choice.index, window=knobs.window, alpha=alpha, mix_mean=reallocate, scale=knobs.scale
    )  # fmt: skip


def choose_tokens(q: Tensor, cache: KVCache, knobs: Knobs, tiles: ScoreTiles) -> Choice:
    """Steps 1 to 3 and alpha of SparQ."""
    from harness.kernels.jit_channels import channels_kernel  # needs Triton
    from harness.kernels.jit_score import score_kernel

    b, h, group, d = q.shape
    packed, channel, temperature = _scratch(q, knobs.r)
    masked = torch.empty_like(q) if cache.kt is None else q
    channels_kernel[(b * h,)](
        q, packed, channel, temperature, masked, knobs.scale, knobs.r,
        g=group, d=d, width=power(d), whole=cache.kt is None, num_warps=1, **overlap(q.device),
    )  # fmt: skip
    if cache.kt is None:
        stored = row_logits(masked, cache, temperature)
        return choose_stored(stored, cache, knobs.window, knobs.want, by_weight=False)
    left = Candidates.empty(q, cache.longest, tiles.chunk, knobs.want, apart=group > 1)
    score_kernel[(b * h * left.chunks,)](
        cache.kt, packed, channel, temperature, cache.start, cache.stop, *left.outputs,
        *cache.kt.stride()[:3], cache.kt.shape[3], h, left.chunks, cache.longest,
        knobs.window, knobs.want,
        **_tile_options(q, cache.kt, knobs, tiles), many=left.chunks > 1, mass=knobs.reallocate,
    )  # fmt: skip
    return left.merge(cache, knobs.window, knobs.reallocate)


def _scratch(q: Tensor, r: int) -> tuple[Tensor, Tensor, Tensor]:
    """The query at its chosen channels [B, H, G, r], those channels [B, H, r] and the temperatures [B, H, G]."""
    b, h, group, _ = q.shape
    packed = torch.empty(b, h, group, r, dtype=torch.float32, device=q.device)
    return packed, torch.empty_like(packed[:, :, 0], dtype=torch.int32), torch.empty_like(packed[..., 0])


def _tile_options(q: Tensor, kt: Tensor, knobs: Knobs, tiles: ScoreTiles) -> dict[str, object]:
    """What the score kernel and the fused kernel have in common."""
    return {
        "r": knobs.r,
        "g": q.shape[2],
        "rows": power(q.shape[2], 1),
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

    b, h, group, d = q.shape
    packed, channel, temperature = _scratch(q, knobs.r)
    position = torch.empty(b, h, knobs.want, dtype=torch.int32, device=q.device)
    out = torch.empty_like(q)
    fused_kernel[(b * h,)](
        q, cache.k, cache.v, kt, cache.start, cache.stop, cache.v_sum, packed, channel, temperature, position,
        torch.empty_like(temperature), out, *cache.k.stride()[:3], *cache.v.stride()[:3], *kt.stride()[:3],
        kt.shape[3], h, knobs.window, knobs.want, knobs.scale, **_tile_options(q, kt, knobs, tiles),
        few=logit_rows(group), d=d, width=power(d), block=tiles.block, mix=knobs.reallocate,
    )  # fmt: skip
    return out
