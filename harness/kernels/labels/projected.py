"""Labels tokens by their keys along a few axes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor
from torch.nn.functional import one_hot

from harness.attention.index.labelled import Labelled
from harness.kernels.choice import TokenScores
from harness.kernels.labels.score import score_rows
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap
from harness.kernels.shared.tiles import power
from harness.methods.selection.loki import Projected

AT_ONCE = 4096
"""Entries of the axes that a program multiplies at once."""


@dataclass(frozen=True)
class ProjectedKeys:
    """Holds axes [B or 1, H, D, r] and the keys of all tokens along them, [B, H, C, r] by columns of the cache."""

    axes: Tensor
    keys: Tensor

    @classmethod
    def of(cls, state: Projected) -> Self:
        """Take over what a method makes of the prompt."""
        return cls(state.axes.contiguous(), state.keys.buffer)

    @classmethod
    def at_channels(cls, state: Labelled) -> Self:
        """Take over labels that are channels of keys, as they are."""
        axes = one_hot(state.channels[:, :, 0], state.head_dim).mT
        return cls(axes.to(state.labels.buffer).contiguous(), state.labels.buffer)

    def scores(self, q: Tensor, cache: KVCache) -> TokenScores:
        """Project the newest key and q [B, H, G, D], and score all tokens, summed over the group."""
        return score_rows(self._project(q, cache), self.keys, cache, cache.longest)

    def _project(self, q: Tensor, cache: KVCache) -> Tensor:
        """Return the sum of the queries along the axes, [B, H, r] float32; the newest key is stored."""
        from harness.kernels.labels.triton.project import project_kernel  # needs Triton

        b, h, group, d = q.shape
        room, r = self.keys.shape[2:]
        width = power(r)
        query = torch.empty(b, h, r, dtype=torch.float32, device=q.device)
        shared = 0 if self.axes.shape[0] == 1 else self.axes.stride(0)
        project_kernel[(b * h,)](
            q, cache.k, self.axes, self.keys, query, cache.kv_lengths, *cache.k.stride()[:3], shared,
            self.axes.stride(1), h, room, g=group, rows=power(group, 1), d=d, r=r, width=width,
            block=min(power(d), max(16, AT_ONCE // width)), num_warps=4, **overlap(q.device),
        )  # fmt: skip
        return query
