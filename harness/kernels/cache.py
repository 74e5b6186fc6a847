"""What a decode step reads: K and V, K once more channel-major, and the running sum of V."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.kernels.plan import power
from harness.kernels.require import require

ALIGNMENT = 128
"""Capacity is a multiple of this many tokens, so that 16-byte loads along a channel stay aligned."""


@dataclass
class KVCache:
    """One layer's cache. Row b's live tokens are the columns start[b] .. stop[b] - 1; what lies outside is never used.

    k, v: [B, H, C, D]. kt: the same keys channel-major, [B, H, D, C], or None if K is stored once.
    v_sum: [B, H, D] float32, the sum of all live V. start, stop: [B] int32 on the device.
    longest: the host's upper bound on stop, which sizes the launches; a CUDA graph wants the capacity here.
    """

    k: Tensor
    v: Tensor
    kt: Tensor | None
    v_sum: Tensor
    start: Tensor
    stop: Tensor
    longest: int

    @property
    def capacity(self) -> int:
        """C, the tokens that fit."""
        return self.k.shape[2]

    @classmethod
    def of(cls, k: Tensor, v: Tensor, start: Tensor | None = None, room: int = 0, transposed: bool = True) -> KVCache:
        """A cache that holds a prompt's k and v [B, H, S, D] with `room` for more; row b's padding ends at start[b]."""
        b, h, s, d = k.shape
        capacity = -(-(s + room) // ALIGNMENT) * ALIGNMENT
        keys, values = k.new_zeros(b, h, capacity, d), v.new_zeros(b, h, capacity, d)
        keys[:, :, :s], values[:, :, :s] = k, v
        kt = None
        if transposed:
            kt = k.new_zeros(b, h, d, capacity)
            kt[..., :s] = k.transpose(2, 3)
        first = torch.zeros(b, dtype=torch.int32, device=k.device) if start is None else start.to(torch.int32)
        dead = torch.arange(s, device=k.device) < first[:, None]
        v_sum = v.masked_fill(dead[:, None, :, None], 0).sum(2, dtype=torch.float32)
        return cls(keys, values, kt, v_sum, first, torch.full_like(first, s), s)

    def append(self, k: Tensor, v: Tensor) -> None:
        """Add one token per row, k and v [B, H, D], to every copy. Rows must have room; nothing waits for the GPU."""
        require(k.device)
        from harness.kernels.jit_append import append_kernel  # needs Triton

        b, h, d = k.shape
        kt = self.k if self.kt is None else self.kt
        append_kernel[(b * h,)](
            k.contiguous(), v.contiguous(), self.k, self.v, kt, self.v_sum, self.stop,
            *self.k.stride()[:3], *self.v.stride()[:3], *kt.stride()[:3], h,
            d=d, width=power(d), transposed=self.kt is not None, num_warps=1,
        )  # fmt: skip
        self.stop += 1
        self.longest = min(self.longest + 1, self.capacity)
