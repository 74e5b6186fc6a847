"""Serves patterns that need no scores: dense attention, a window with the oldest tokens where they are."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.kernels.binding import KernelBinding
from harness.kernels.shared.attend import Chosen, attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.tiles import AttendTiles
from harness.methods.controls.dense import Dense
from harness.methods.eviction.lm_infinite import LMInfinite
from harness.methods.eviction.streaming import Streaming
from harness.methods.eviction.window import Window
from harness.methods.first_and_last import FirstAndLast


def dense(q: Tensor, cache: KVCache, *, scale: float | None = None, tiles: AttendTiles | None = None) -> Tensor:
    """Compute dense attention [B, H, G, D] of q [B, H, G, D]: the window is everything.

    Heads are split over programs until the GPU is full. The definition is harness/methods/controls/dense.py. Raises
    InputError where q does not fit the cache.
    """
    return attend(q, cache, window=cache.longest, scale=scale, tiles=tiles)


def lm_infinite(q: Tensor, cache: KVCache, *, k: int, initial: int = 16, scale: float | None = None) -> Tensor:
    """Attend from q to the `initial` oldest live tokens and the k - initial most recent, [B, H, G, D].

    The definition is harness/methods/eviction/lm_infinite.py. Raises InputError where q does not fit the cache.
    """
    b, h = q.shape[:2]
    oldest = cache.padding[:, None] + torch.arange(min(initial, k), device=q.device, dtype=torch.int32)
    sinks = Chosen(oldest[:, None].expand(b, h, -1))
    return attend(q, cache, sinks, window=max(k - initial, 0), scale=scale)


def _bind_dense(_: Dense) -> KernelBinding:
    return KernelBinding.stateless(dense)


def _bind_pattern(m: FirstAndLast) -> KernelBinding | None:
    if m.sinks is not None:  # first tokens are seen elsewhere than they are, which the kernel cannot
        return None
    return KernelBinding.stateless(lm_infinite, k=m.k, initial=m.initial)


BINDINGS = {Dense: _bind_dense, LMInfinite: _bind_pattern, Streaming: _bind_pattern, Window: _bind_pattern}
