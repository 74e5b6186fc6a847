"""Serves methods that read all of K: stores its logits and chooses the best tokens (FlexGen, the oracle, SparQ)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.binding import KernelBinding
from harness.kernels.shared.attend import attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.choice import Candidates, SoftmaxMass, SparseQuery
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.tiles import logit_rows, power
from harness.methods.controls.oracle_topk import OracleTopK
from harness.methods.selection.flexgen import FlexGen


def flexgen(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """Compute FlexGen's output [B, H, G, D]: the k largest softmax weights (summed over the group), not renormalised.

    Weights are not stored: those k rows of K are read again, k / N of what the logits took. The definition is
    harness/methods/selection/flexgen.py. Raises InputError where q does not fit the cache, or for k below 1.
    """
    best, mass = _heaviest(q, cache, k, scale)
    return attend(q, cache, best, mass=mass, scale=scale)


def oracle_topk(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """Attend exactly, [B, H, G, D], to the k tokens with the largest softmax weight, summed over the group.

    The definition is harness/methods/controls/oracle_topk.py. Raises InputError as flexgen.
    """
    return attend(q, cache, _heaviest(q, cache, k, scale)[0], scale=scale)


def _bind_flexgen(m: FlexGen) -> KernelBinding | None:
    return None if m.reallocate or m.before_softmax else KernelBinding.stateless(flexgen, k=m.k)


def _bind_oracle(m: OracleTopK) -> KernelBinding:
    return KernelBinding.stateless(oracle_topk, k=m.k)


BINDINGS = {FlexGen: _bind_flexgen, OracleTopK: _bind_oracle}


def _heaviest(q: Tensor, cache: KVCache, k: int, scale: float | None) -> tuple[Candidates, SoftmaxMass]:
    """Choose the k tokens with the largest weights; returns them and the mass of all tokens."""
    check_query(q, cache.k)
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    logits, mass = row_logits(q.contiguous(), cache, scale=q.shape[3] ** -0.5 if scale is None else scale)
    return choose_stored(logits, cache, 0, min(k, cache.longest), mass), mass


def row_logits(
    q: Tensor, cache: KVCache, approximate: SparseQuery | None = None, scale: float = 1.0
) -> tuple[Tensor, SoftmaxMass]:
    """Compute logits [B, H, G, N] of all tokens from row-major K, and their mass.

    With a sparse query, they are approximate (SparQ, step 2) and summed over the group: [B, H, N].
    """
    from harness.kernels.top_weights.triton import row_logits_kernel  # needs Triton

    b, h, group, d = q.shape
    block = max(16, 8192 // power(d))
    blocks = -(-cache.longest // block)
    parts = max(1, min(blocks // 4, -(-8 * processors(q.device) // (b * h))))
    per_part = -(-blocks // parts) * block
    mass = SoftmaxMass.empty(q, parts, approximate)
    shape = (b, h, cache.longest) if approximate else (b, h, group, cache.longest)
    score = torch.empty(shape, dtype=torch.float32, device=q.device)
    query, temperature = (approximate.masked, approximate.temperature) if approximate else (q, mass.peak)
    row_logits_kernel[(b * h * parts,)](
        query, cache.k, temperature, cache.padding, cache.kv_lengths, score, mass.peak, mass.total,
        *cache.k.stride()[:3], h, parts, cache.longest, per_part, scale, g=group, rows=logit_rows(group), d=d,
        width=power(d), block=block, sparse=approximate is not None, num_warps=4, **overlap(q.device),
    )  # fmt: skip
    return score, mass


def choose_stored(scores: Tensor, cache: KVCache, window: int, k: int, weigh: SoftmaxMass | None = None) -> Candidates:
    """Choose the best k tokens older than the window by scores [B, H, N].

    With `weigh`, scores are logits [B, H, G, N] whose mass that is, and the choice is by their softmax weights, summed
    over the group.
    """
    from harness.kernels.top_weights.triton import choose_kernel  # needs Triton

    b, h, longest = scores.shape[0], scores.shape[1], scores.shape[-1]
    group = 1 if weigh is None else scores.shape[2]
    chunk, warps = choice_tiles(longest, group, b * h, processors(scores.device))
    best = Candidates.empty(scores, longest, chunk, k, window, independent=True)
    peak, total = (scores, scores) if weigh is None else (weigh.peak, weigh.total)
    parts = 0 if weigh is None else peak.shape[2]
    choose_kernel[(b * h * best.chunks,)](
        scores, peak, total, cache.padding, cache.kv_lengths, best.position, best.scores, best.scratch(), h,
        best.chunks, parts, longest, window, k, g=group, rows=power(group, 1), chunk=chunk, pad=power(parts, 1),
        by_weight=weigh is not None, slots=best.slots, num_warps=warps, **overlap(scores.device),
    )  # fmt: skip
    return best


def choice_tiles(longest: int, group: int, heads: int, processors: int) -> tuple[int, int]:
    """Return tokens and warps of a program that chooses by stored scores, of `group` rows each, for `heads` = B * H.

    `processors` is the number of multiprocessors; measured on one H200.
    """
    largest = 8192 if heads * 2 >= processors and group == 1 else 4096
    chunk = min(power(longest), max(512, largest // power(group, 1)))
    return chunk, max(4, chunk // 2048)
