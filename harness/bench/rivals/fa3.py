"""Times FlashAttention-3 (Shah et al., NeurIPS 2024, arXiv 2407.08608) by the package fa3-fwd."""

from __future__ import annotations

from collections.abc import Callable

from harness.bench.cases import Buffers
from harness.bench.rivals.base import Rival


def _call(x: Buffers) -> Callable[[], object]:
    """Attend from q [B, 1, Hq, D] to k and v [B, N, H, D], views of the cache; the library splits N as it thinks."""
    from fa3_fwd_interface import flash_attn_with_kvcache

    step = x.step
    q, k, v = step.q.flatten(1, 2)[:, None], step.k.transpose(1, 2), step.v.transpose(1, 2)
    return lambda: flash_attn_with_kvcache(q, k, v, softmax_scale=step.scores.scale)


RIVAL = Rival("fa3", {"fa3": _call}, module="fa3_fwd_interface", package="fa3-fwd")
