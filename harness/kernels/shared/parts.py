"""Splits attention to a KV head's tokens over several programs, and joins what they leave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor

from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import overlap
from harness.kernels.shared.mass import KeptShare
from harness.kernels.shared.tiles import parts_at_once, power


@dataclass(frozen=True)
class Parts:
    """Holds the sums of `count` parts of each KV head's tokens, for kernels to write; next to nothing of a single one.

    partial [B, H, count, G, D] are outputs that are not normalised; sums [3, B, H, count, G] the largest logits, the
    sums of exp and the kept mass. All float32.
    """

    partial: Tensor
    sums: Tensor
    count: int

    @classmethod
    def of(cls, q: Tensor, count: int) -> Self:
        """Allocate the sums for a query [B, H, G, D]."""
        b, h, group, d = q.shape
        partial = q.new_empty((b, h, count, group, d) if count > 1 else 1, dtype=torch.float32)
        return cls(partial, q.new_empty((3, b, h, count, group) if count > 1 else (3, 1), dtype=torch.float32), count)

    @property
    def pointers(self) -> tuple[Tensor, ...]:
        """Return the tensors in the order in which kernels take them."""
        return self.partial, *self.sums

    def combined(self, cache: KVCache, out: Tensor, share: KeptShare = KeptShare()) -> Tensor:  # noqa: B008  frozen
        """Return out [B, H, G, D], joined from the parts where there are several."""
        if self.count == 1:
            return out
        from harness.kernels.shared.triton.combine import combine_kernel  # needs Triton

        b, h, group, d = out.shape
        _, _, peak, total, _ = share.pointers(out)
        v_sum = out if cache.v_sum is None else cache.v_sum
        combine_kernel[(b * h * group,)](
            *self.pointers, cache.padding, cache.kv_lengths, peak, total, v_sum, out, h, self.count, share.programs,
            g=group, d=d, width=power(d), pad=parts_at_once(self.count), num_warps=4, **share.options,
            **overlap(out.device),
        )  # fmt: skip
        return out
