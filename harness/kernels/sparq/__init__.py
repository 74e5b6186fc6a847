"""Computes SparQ's decode attention (Ribar et al., ICML 2024, arXiv 2312.04985, algorithm 1)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from harness.kernels.binding import KernelBinding
from harness.kernels.choice import TokenScores
from harness.kernels.choice.attend import attend_best
from harness.kernels.shared.attend import attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.mass import SoftmaxMass
from harness.kernels.shared.tiles import power
from harness.kernels.sparq.alone import choose_alone, fused
from harness.kernels.sparq.channels import Channels
from harness.kernels.sparq.knobs import Knobs
from harness.kernels.sparq.tiles import HeadTiles, ScoreTiles, head_tiles, score_tiles
from harness.kernels.top_weights import row_scores
from harness.methods.selection.sparq import SparQ


@dataclass(frozen=True)
class Tiles:
    """Says how SparQ's launches are cut up: by `head` where programs choose by themselves, otherwise by `score`."""

    head: HeadTiles | None = None
    score: ScoreTiles | None = None


def sparq(
    q: Tensor,
    cache: KVCache,
    *,
    r: int,
    k: int,
    local: int | None = None,
    reallocate: bool = True,
    scale: float | None = None,
    tiles: Tiles | None = None,
) -> Tensor:
    """Compute SparQ's output [B, H, G, D] for q [B, H, G, D]; the newest token must be in the cache already.

    The definition is harness/methods/selection/sparq.py. With cache.kt r channels of K are read to choose, without it
    all of K is. Raises InputError where q does not fit the cache, or for r or k below 1.
    """
    check_query(q, cache.k)
    q = q.contiguous()
    knobs = Knobs.of(q.shape[3], cache.longest, r, k, local, scale, reallocate)
    by_head = _head_tiles(q, cache, knobs, tiles)
    if by_head and by_head.fused:
        return fused(q, cache, knobs, by_head)
    if by_head:
        chosen, mass = choose_alone(q, cache, knobs, by_head)
        rest = mass if reallocate else None
        return attend(q, cache, chosen, window=knobs.window, mass=rest, mix_mean=reallocate, scale=knobs.scale)
    scores, mass = _scored(q, cache, knobs, tiles.score if tiles else None)
    rest = mass if reallocate else None
    return attend_best(q, cache, scores, knobs.chosen, mass=rest, mix_mean=reallocate, scale=knobs.scale)


def _bind(m: SparQ) -> KernelBinding:
    knobs = {"r": m.r, "k": m.k, "local": m.local, "reallocate": m.reallocate}
    return KernelBinding.stateless(sparq, reads_mean=m.reallocate, **knobs)


BINDINGS = {SparQ: _bind}


def _head_tiles(q: Tensor, cache: KVCache, knobs: Knobs, tiles: Tiles | None) -> HeadTiles | None:
    """Return how programs choose among what they score; None for groups, K stored once, and large k."""
    if cache.kt is None or q.shape[2] > 1:
        return None
    if tiles:
        return tiles.head
    return head_tiles(q.shape[0] * q.shape[1], cache.longest, knobs.r, knobs.chosen, processors(q.device))


def _scored(q: Tensor, cache: KVCache, knobs: Knobs, tiles: ScoreTiles | None) -> tuple[TokenScores, SoftmaxMass]:
    """Do steps 1 and 2 of SparQ by a launch each; returns all tokens' scores and the mass of their logits."""
    channels = Channels.chosen(q, knobs.r, knobs.scale)
    if cache.kt is None:
        return row_scores(cache, channels.query, knobs.window)
    tokens = q.shape[0] * q.shape[1] * cache.longest
    planned = tiles or score_tiles(tokens, q.shape[2], knobs.r, processors(q.device))
    return _scores(q, cache, cache.kt, channels, knobs, planned)


def _scores(
    q: Tensor, cache: KVCache, kt: Tensor, channels: Channels, knobs: Knobs, tiles: ScoreTiles
) -> tuple[TokenScores, SoftmaxMass]:
    """Score all tokens by the chosen channels; returns their scores and mass."""
    from harness.kernels.sparq.triton.score import score_kernel  # needs Triton

    b, h, group, _ = q.shape
    chunks = -(-cache.longest // tiles.tile)
    scores = TokenScores.empty(q, cache.longest, knobs.window)
    mass = SoftmaxMass.empty(q, chunks, channels.query)
    score_kernel[(b * h * chunks,)](
        kt, channels.packed, channels.index, channels.query.temperature, cache.padding, cache.kv_lengths, scores.score,
        scores.largest, mass.peak, mass.total, *kt.stride()[:3], kt.shape[3], h, chunks, scores.columns, scores.groups,
        knobs.window, knobs.r, g=group, rows=power(group, 1), tile=tiles.tile, of=scores.of,
        stages=tiles.stages, covered=kt.shape[3] % tiles.tile == 0, num_warps=tiles.warps,
        **overlap(q.device),
    )  # fmt: skip
    return scores, mass
