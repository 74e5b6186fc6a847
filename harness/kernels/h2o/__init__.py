"""Computes H2O's decode step (Zhang et al., NeurIPS 2023, arXiv 2306.14048): evicts a token, then attends."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import LayerPrefix, top_newest
from harness.attention.statistics import AttentionReceived
from harness.kernels.binding import KernelBinding, LayerKernel
from harness.kernels.shared.attend import Chosen, attend
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap
from harness.kernels.shared.tiles import power
from harness.methods.eviction.h2o import H2O

FREE = -1
"""The column of a place that holds no token."""
MOST_PLACES = 2048
"""Places that a program looks at at once, of however many there are."""


@dataclass
class HeavyHitters:
    """Holds the columns that are still cached [B, H, K] int32 and the weight each has received [B, H, K] float32.

    Before the first step K is the prompt; from then on there are k + 1 places, and the last step's logits
    [B, H, G, K] float32 wait until the next step adds their weights to the scores.
    """

    column: Tensor
    score: Tensor
    logits: Tensor | None = None

    @classmethod
    def of(cls, received: Tensor) -> HeavyHitters:
        """Return every prompt token, scored by the prompt's own queries: `received` [B, H, S]."""
        column = torch.arange(received.shape[2], dtype=torch.int32, device=received.device)
        return cls(column.expand(received.shape), received.float())

    def evict_prompt(self, cache: KVCache, k: int, local: int, group: int) -> None:
        """Keep the prompt's best k tokens, before the first step, and a free place for the newest token."""
        recent = cache.kv_lengths[:, None, None] - 1 - self.column <= local
        dead = self.column < cache.padding[:, None, None]
        kept = top_newest(self.score.masked_fill(recent, torch.inf).masked_fill(dead, -torch.inf), k)
        free = (0, k + 1 - kept.shape[2])
        self.column = pad(self.column.gather(2, kept), free, value=FREE)
        self.score = pad(self.score.gather(2, kept), free)
        self.logits = self.score.new_full((*self.score.shape[:2], group, k + 1), -torch.inf)


def h2o(
    q: Tensor, cache: KVCache, state: HeavyHitters, *, k: int, local: int | None = None, scale: float | None = None
) -> Tensor:
    """Compute H2O's output [B, H, G, D] for q [B, H, G, D]; the newest token must be in the cache already.

    Admits that token, keeps k + 1 for good (those of age <= local among them) and leaves the step's logits in `state`.
    The definition is harness/methods/eviction/h2o.py. Raises InputError where q does not fit the cache.
    """
    check_query(q, cache.k)
    group = q.shape[2]
    local = k // 4 if local is None else local
    if state.logits is None:
        state.evict_prompt(cache, k, local, group)
    _admit(cache, state, local, group)
    return attend(q, cache, Chosen(state.column), logits=state.logits, scale=scale)


def _bind(m: H2O) -> KernelBinding | None:
    if m.needs:  # tokens are seen elsewhere than they are, which the kernel cannot
        return None

    def for_layer(prefix: LayerPrefix) -> LayerKernel:
        return partial(h2o, state=HeavyHitters.of(prefix.statistics[AttentionReceived()]), k=m.k, local=m.recent)

    return KernelBinding(for_layer)


BINDINGS = {H2O: _bind}


def _admit(cache: KVCache, state: HeavyHitters, local: int, group: int) -> None:
    """Add the last step's weights to the scores and put the newest token in place of the worst one."""
    from harness.kernels.h2o.triton import admit_kernel  # needs Triton

    b, h, places = state.column.shape
    block = min(power(places, 256), MOST_PLACES)
    admit_kernel[(b * h,)](
        state.column, state.score, state.logits, cache.padding, cache.kv_lengths, h, places, local,
        g=group, block=block, num_warps=max(1, block // 256), **overlap(cache.padding.device),
    )  # fmt: skip
