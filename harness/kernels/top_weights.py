"""Methods that read all of K: its logits stored once, the best tokens chosen from them (FlexGen, the oracle, SparQ)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.errors import InputError
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache
from harness.kernels.choice import Candidates, Choice
from harness.kernels.plan import logit_rows, power, processors
from harness.kernels.require import check_query


@dataclass(frozen=True)
class Stored:
    """logits [B, H, G, N] of all columns; peak and total [B, H, G, parts], largest and sum of exp of each part."""

    logits: Tensor
    peak: Tensor
    total: Tensor


def flexgen(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """FlexGen [B, H, G, D]: the k largest softmax weights (summed over the group), not renormalised.

    Weights are not stored: those k rows of K are read again, k / N of what the logits took.
    """
    choice = _heaviest(q, cache, k, scale)
    return attend(q, cache, choice.index, alpha=choice.alpha, scale=scale)


def oracle_topk(q: Tensor, cache: KVCache, *, k: int, scale: float | None = None) -> Tensor:
    """Exact attention [B, H, G, D] over the k tokens with the largest softmax weight, summed over the group."""
    return attend(q, cache, _heaviest(q, cache, k, scale).index, scale=scale)


def _heaviest(q: Tensor, cache: KVCache, k: int, scale: float | None) -> Choice:
    check_query(q, cache.k)
    if k < 1:
        raise InputError(f"k must be at least 1, not {k}")
    b, h, group, d = q.shape
    temperature = torch.full((b, h, group), d**-0.5 if scale is None else scale, device=q.device)
    return choose_stored(row_logits(q.contiguous(), cache, temperature), cache, 0, min(k, cache.longest), True)


def row_logits(q: Tensor, cache: KVCache, temperature: Tensor) -> Stored:
    """Logits of all tokens, q [B, H, G, D] times row-major K times temperature [B, H, G]."""
    from harness.kernels.jit_rank import row_logits_kernel  # needs Triton

    b, h, group, d = q.shape
    block = max(16, 8192 // power(d))
    blocks = -(-cache.longest // block)
    parts = max(1, min(blocks // 4, -(-8 * processors(q.device) // (b * h))))
    per_part = -(-blocks // parts) * block
    logits = torch.empty(b, h, group, cache.longest, dtype=torch.float32, device=q.device)
    peak, total = torch.empty(2, b, h, group, parts, dtype=torch.float32, device=q.device)
    row_logits_kernel[(b * h * parts,)](
        q, cache.k, temperature, cache.start, cache.stop, logits, peak, total, *cache.k.stride()[:3], h, parts,
        cache.longest, per_part, g=group, rows=logit_rows(group), d=d, width=power(d), block=block, num_warps=4,
    )  # fmt: skip
    return Stored(logits, peak, total)


def choose_stored(stored: Stored, cache: KVCache, window: int, want: int, by_weight: bool) -> Choice:
    """The best `want` tokens older than the window, by logits or by softmax weights, summed over the group."""
    from harness.kernels.jit_rank import choose_kernel  # needs Triton

    b, h, group, longest = stored.logits.shape
    rows, parts = power(group, 1), stored.peak.shape[3]
    chunk = min(power(longest), max(512, 4096 // rows))
    left = Candidates.empty(stored.logits, longest, chunk, want, by_weight or group > 1)
    choose_kernel[(b * h * left.chunks,)](
        stored.logits, stored.peak, stored.total, cache.start, cache.stop, *left.outputs, h, left.chunks, parts,
        longest, window, want, g=group, rows=rows, chunk=chunk, pad=power(parts, 1), by_weight=by_weight,
        many=left.chunks > 1, num_warps=4,
    )  # fmt: skip
    return left.merge(cache, window, True)
