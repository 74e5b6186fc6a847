"""Holds the query at its largest channels, in the forms that SparQ's kernels read."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.shared.device import overlap
from harness.kernels.shared.mass import SparseQuery
from harness.kernels.shared.tiles import power


@dataclass(frozen=True)
class Channels:
    """Holds the query at the r channels chosen for each KV head.

    index [B, H, P, r] int32 are the channels; packed [B, H, P, G, r] float32 is the query there, for each of P programs
    that choose them by themselves, or one; `query` is the query with zeros elsewhere.
    """

    packed: Tensor
    index: Tensor
    query: SparseQuery

    @classmethod
    def empty(cls, q: Tensor, r: int, programs: int = 1) -> Channels:
        """Allocate the channels of a query [B, H, G, D], for kernels to write."""
        b, h, group, _ = q.shape
        packed = torch.empty(b, h, programs, group, r, dtype=torch.float32, device=q.device)
        index = torch.empty(b, h, programs, r, dtype=torch.int32, device=q.device)
        return cls(packed, index, SparseQuery(torch.empty_like(q), torch.empty_like(packed[:, :, 0, :, 0])))

    @classmethod
    def chosen(cls, q: Tensor, r: int, scale: float) -> Channels:
        """Choose the channels of q [B, H, G, D] for the softmax scale by a launch of its own."""
        from harness.kernels.sparq.triton.channels import prepare_kernel  # needs Triton

        b, h, group, d = q.shape
        found = cls.empty(q, r)
        prepare_kernel[(b * h,)](
            q,
            *found.pointers,
            scale,
            r,
            g=group,
            rows=power(group, 1),
            d=d,
            width=power(d),
            num_warps=4,
            **overlap(q.device),
        )
        return found

    @property
    def pointers(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return packed, index, temperature and masked query, in the order in which kernels take them."""
        return self.packed, self.index, self.query.temperature, self.query.masked
