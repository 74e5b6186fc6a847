"""SparQ, step 1: the query at its largest channels, in the forms that the kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.plan import overlap, power


@dataclass(frozen=True)
class Channels:
    """For each KV head, P times alike: one for each program that chooses by itself, or one for all.

    packed [B, H, P, G, r] float32, the query at the r channels index [B, H, P, r] int32; masked [B, H, P, G, D], the
    query with zeros elsewhere; temperature [B, H, P, G] float32, what turns products with it into approximate logits.
    """

    packed: Tensor
    index: Tensor
    masked: Tensor
    temperature: Tensor

    @classmethod
    def empty(cls, q: Tensor, r: int, programs: int = 1) -> Channels:
        """Unwritten, for a query [B, H, G, D]."""
        b, h, group, d = q.shape
        packed = torch.empty(b, h, programs, group, r, dtype=torch.float32, device=q.device)
        index = torch.empty(b, h, programs, r, dtype=torch.int32, device=q.device)
        return cls(packed, index, q.new_empty(b, h, programs, group, d), torch.empty_like(packed[..., 0]))

    @classmethod
    def chosen(cls, q: Tensor, r: int, scale: float) -> Channels:
        """Of q [B, H, G, D], for the softmax scale, by a launch of its own."""
        from harness.kernels.jit_channels import prepare_kernel  # needs Triton

        b, h, group, d = q.shape
        found = cls.empty(q, r)
        prepare_kernel[(b * h,)](
            q, *found.pointers, scale, r, g=group, d=d, width=power(d), num_warps=1, **overlap(q.device)
        )
        return found

    @property
    def copies(self) -> int:
        """P."""
        return self.index.shape[2]

    @property
    def pointers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """In the order in which kernels take them."""
        return self.packed, self.index, self.temperature, self.masked
