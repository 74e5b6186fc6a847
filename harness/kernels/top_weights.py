"""Methods that read all of K: its logits stored once, the best tokens chosen from them (FlexGen, the oracle, SparQ)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache
from harness.kernels.channels import Channels
from harness.kernels.choice import Candidates, Mass
from harness.kernels.plan import choice_tiles, logit_rows, overlap, power, processors
from harness.kernels.require import check_query


def flexgen(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """FlexGen [B, H, G, D]: the k largest softmax weights (summed over the group), not renormalised.

    Weights are not stored: those k rows of K are read again, k / N of what the logits took.
    """
    best, mass = _heaviest(q, cache, k, scale)
    return attend(q, cache, best, mass=mass, scale=scale)


def oracle_topk(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """Exact attention [B, H, G, D] over the k tokens with the largest softmax weight, summed over the group."""
    return attend(q, cache, _heaviest(q, cache, k, scale)[0], scale=scale)


def _heaviest(q: Tensor, cache: KVCache, k: int, scale: float | None) -> tuple[Candidates, Mass]:
    check_query(q, cache.k)
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    logits, mass = row_logits(q.contiguous(), cache, scale=q.shape[3] ** -0.5 if scale is None else scale)
    return choose_stored(logits, cache, 0, min(k, cache.longest), mass), mass


def row_logits(q: Tensor, cache: KVCache, channels: Channels | None = None, scale: float = 1.0) -> tuple[Tensor, Mass]:
    """Logits [B, H, G, N] of all tokens from row-major K, and their mass.

    With channels, approximate ones (SparQ, step 2), summed over the group: [B, H, N].
    """
    from harness.kernels.jit_rank import row_logits_kernel  # needs Triton

    b, h, group, d = q.shape
    block = max(16, 8192 // power(d))
    blocks = -(-cache.longest // block)
    parts = max(1, min(blocks // 4, -(-8 * processors(q.device) // (b * h))))
    per_part = -(-blocks // parts) * block
    mass = Mass.empty(q, parts, channels)
    shape = (b, h, cache.longest) if channels else (b, h, group, cache.longest)
    score = torch.empty(shape, dtype=torch.float32, device=q.device)
    query, temperature = (channels.masked, channels.temperature) if channels else (q, mass.peak)
    row_logits_kernel[(b * h * parts,)](
        query, cache.k, temperature, cache.start, cache.stop, score, mass.peak, mass.total, *cache.k.stride()[:3], h,
        parts, cache.longest, per_part, scale, g=group, rows=logit_rows(group), d=d, width=power(d), block=block,
        sparse=channels is not None, num_warps=4, **overlap(q.device),
    )  # fmt: skip
    return score, mass


def choose_stored(scores: Tensor, cache: KVCache, window: int, want: int, weigh: Mass | None = None) -> Candidates:
    """The best `want` tokens older than the window by scores [B, H, N].

    With `weigh`, by the softmax weights, summed over the group, of logits [B, H, G, N] whose mass that is.
    """
    from harness.kernels.jit_rank import choose_kernel  # needs Triton

    b, h, longest = scores.shape[0], scores.shape[1], scores.shape[-1]
    group = 1 if weigh is None else scores.shape[2]
    chunk, warps = choice_tiles(longest, group, b * h, processors(scores.device))
    best = Candidates.empty(scores, longest, chunk, want, window, alone=True)
    peak, total = (scores, scores) if weigh is None else (weigh.peak, weigh.total)
    parts = 0 if weigh is None else peak.shape[2]
    choose_kernel[(b * h * best.chunks,)](
        scores, peak, total, cache.start, cache.stop, best.position, best.key, best.rough(), h, best.chunks, parts,
        longest, window, want, g=group, rows=power(group, 1), chunk=chunk, pad=power(parts, 1),
        by_weight=weigh is not None, room=best.room, num_warps=warps, **overlap(scores.device),
    )  # fmt: skip
    return best
