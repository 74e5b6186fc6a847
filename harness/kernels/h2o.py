"""H2O's decode step on the GPU (Zhang et al., NeurIPS 2023, arXiv 2306.14048), over KVCache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import top_newest
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache
from harness.kernels.choice import Candidates
from harness.kernels.plan import overlap, power
from harness.kernels.require import check_query

FREE = -1
"""The column of a place that holds no token."""


@dataclass
class HeavyHitters:
    """Columns that are still cached [B, H, K] int32 and the weight each has received [B, H, K] float32.

    Before the first step K is the prompt; from then on there are k + 1 places, and the last step's logits
    [B, H, G, K] float32 wait until the next step adds their weights to the scores.
    """

    column: Tensor
    score: Tensor
    logits: Tensor | None = None

    @classmethod
    def of(cls, received: Tensor) -> HeavyHitters:
        """Every prompt token, scored by the prompt's own queries: `received` [B, H, S]."""
        column = torch.arange(received.shape[2], dtype=torch.int32, device=received.device)
        return cls(column.expand(received.shape), received.float())

    def settle(self, cache: KVCache, k: int, local: int, group: int) -> None:
        """Before the first step: the prompt's best k tokens and a place for the newest one, which comes free."""
        recent = cache.stop[:, None, None] - 1 - self.column <= local
        dead = self.column < cache.start[:, None, None]
        kept = top_newest(self.score.masked_fill(recent, torch.inf).masked_fill(dead, -torch.inf), k)
        free = (0, k + 1 - kept.shape[2])
        self.column = pad(self.column.gather(2, kept), free, value=FREE)
        self.score = pad(self.score.gather(2, kept), free)
        self.logits = self.score.new_full((*self.score.shape[:2], group, k + 1), -torch.inf)


def h2o(
    q: Tensor, cache: KVCache, state: HeavyHitters, *, k: int, local: int | None = None, scale: float | None = None
) -> Tensor:
    """H2O attention [B, H, G, D] of q [B, H, G, D]; the newest token must be in the cache already.

    Admits that token, keeps k + 1 for good (those of age <= local among them) and leaves the step's weights in `state`.
    """
    check_query(q, cache.k)
    group = q.shape[2]
    local = k // 4 if local is None else local
    if state.logits is None:
        state.settle(cache, k, local, group)
    _admit(cache, state, local, group)
    return attend(q, cache, Candidates.of(state.column), logits=state.logits, scale=scale)


def _admit(cache: KVCache, state: HeavyHitters, local: int, group: int) -> None:
    from harness.kernels.jit_h2o import admit_kernel  # needs Triton

    b, h, places = state.column.shape
    slots = power(places)
    admit_kernel[(b * h,)](
        state.column, state.score, state.logits, cache.start, cache.stop, h, places, local,
        g=group, pad=slots, num_warps=max(1, min(16, slots // 512)), **overlap(cache.stop.device),
    )  # fmt: skip
