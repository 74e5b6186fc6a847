"""Serves methods that read all of K: stores its logits and chooses the best tokens (FlexGen, the oracle, SparQ)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.binding import KernelBinding
from harness.kernels.choice import TokenScores
from harness.kernels.choice.attend import attend_best
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.mass import SoftmaxMass, SparseQuery
from harness.kernels.shared.tiles import logit_rows, parts_at_once, power
from harness.kernels.top_weights.tiles import RowTiles, row_tiles
from harness.methods.controls.oracle_topk import OracleTopK
from harness.methods.selection.flexgen import FlexGen


def flexgen(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """Compute FlexGen's output [B, H, G, D]: the k largest softmax weights (summed over the group), not renormalised.

    Weights are not stored: those k rows of K are read again, k / N of what the logits took. The definition is
    harness/methods/selection/flexgen.py. Raises InputError where q does not fit the cache, or for k below 1.
    """
    scores, mass = token_weights(q, cache, k, scale)
    return attend_best(q, cache, scores, min(k, cache.longest), mass=mass, scale=scale)


def oracle_topk(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """Attend exactly, [B, H, G, D], to the k tokens with the largest softmax weight, summed over the group.

    The definition is harness/methods/controls/oracle_topk.py. Raises InputError as flexgen.
    """
    scores, _ = token_weights(q, cache, k, scale)
    return attend_best(q, cache, scores, min(k, cache.longest), scale=scale)


def _bind_flexgen(m: FlexGen) -> KernelBinding | None:
    return None if m.reallocate or m.before_softmax else KernelBinding.stateless(flexgen, k=m.k)


def _bind_oracle(m: OracleTopK) -> KernelBinding:
    return KernelBinding.stateless(oracle_topk, k=m.k)


BINDINGS = {FlexGen: _bind_flexgen, OracleTopK: _bind_oracle}


def row_scores(cache: KVCache, query: SparseQuery, window: int) -> tuple[TokenScores, SoftmaxMass]:
    """Score all tokens by approximate logits from row-major K, summed over the group, and their mass (SparQ, step 2).

    Tokens older than `window` may be chosen by them.
    """
    tiles = _tiles(query.masked, cache)
    scores = TokenScores.empty(query.masked, cache.longest, window)
    mass = SoftmaxMass.empty(query.masked, tiles.parts, query)
    _launch_logits(query.masked, query.temperature, cache, scores, scores.score, mass, tiles, 1.0)
    return scores, mass


def token_weights(
    q: Tensor, cache: KVCache, k: int, scale: float | None, heaviest: bool = False
) -> tuple[TokenScores, SoftmaxMass]:
    """Return the softmax weights of all tokens as scores, summed over the group, and their mass; k are to be chosen.

    With `heaviest`, scores are the logarithm of the largest weight of any query head of the group. Raises InputError
    where q does not fit the cache, or for k below 1.
    """
    check_query(q, cache.k)
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    q, tiles = q.contiguous(), _tiles(q, cache)
    scores, mass = TokenScores.empty(q, cache.longest), SoftmaxMass.empty(q, tiles.parts)
    logits = q.new_empty(*q.shape[:3], cache.longest, dtype=torch.float32)
    _launch_logits(q, mass.peak, cache, scores, logits, mass, tiles, q.shape[3] ** -0.5 if scale is None else scale)
    _weigh(logits, cache, scores, mass, tiles, heaviest)
    return scores, mass


def _tiles(q: Tensor, cache: KVCache) -> RowTiles:
    return row_tiles(q.shape[0] * q.shape[1], cache.longest, power(q.shape[3]), processors(q.device))


def _launch_logits(
    q: Tensor,
    temperature: Tensor,
    cache: KVCache,
    scores: TokenScores,
    out: Tensor,
    mass: SoftmaxMass,
    tiles: RowTiles,
    scale: float,
) -> None:
    """Write logits to `out`: exact ones [B, H, G, N], or approximate ones as scores [B, H, N] with their maxima."""
    from harness.kernels.top_weights.triton import row_logits_kernel  # needs Triton

    b, h, group, d = q.shape
    row_logits_kernel[(b * h * tiles.parts,)](
        q, cache.k, temperature, cache.padding, cache.kv_lengths, out, scores.largest, mass.peak, mass.total,
        *cache.k.stride()[:3], h, tiles.parts, cache.longest, scores.groups, tiles.per_part, scores.window, scale,
        g=group, rows=logit_rows(group), d=d, width=power(d), block=tiles.block, of=scores.of,
        sparse=mass.approximate is not None, num_warps=tiles.warps, **overlap(q.device),
    )  # fmt: skip


def _weigh(
    logits: Tensor, cache: KVCache, scores: TokenScores, mass: SoftmaxMass, tiles: RowTiles, heaviest: bool
) -> None:
    """Score all tokens by the softmax weights of logits [B, H, G, N] whose mass is given."""
    from harness.kernels.top_weights.triton import weigh_kernel  # needs Triton

    b, h, group, longest = logits.shape
    weigh_kernel[(b * h * tiles.parts,)](
        logits, mass.peak, mass.total, cache.padding, cache.kv_lengths, scores.score, scores.largest, h, tiles.parts,
        longest, scores.groups, tiles.per_part, g=group, rows=power(group, 1), block=tiles.weighed(group),
        of=scores.of, pad=parts_at_once(tiles.parts), heaviest=heaviest, num_warps=4, **overlap(logits.device),
    )  # fmt: skip
