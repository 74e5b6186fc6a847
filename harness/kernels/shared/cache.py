"""Holds what a decode step reads: K and V, K once more channel-major, and the running sum of V."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

ALIGNMENT = 128
"""Capacity is a multiple of this many tokens, so that 16-byte loads along a channel stay aligned."""


@dataclass
class KVCache:
    """Holds one layer's K and V. Row b's live tokens are columns padding[b] .. kv_lengths[b] - 1; no others are used.

    k, v: [B, H, C, D]. kt: the same keys channel-major, [B, H, D, C], or None if K is stored once.
    v_sum: [B, H, D] float32, the sum of all live V, or None where no kernel is to read it.
    padding: [B] int32, the columns before a row's first live token. kv_lengths: [B] int32, the columns that are filled.
    longest: the host's upper bound on kv_lengths, which sizes the launches; a CUDA graph wants the capacity here.
    """

    k: Tensor
    v: Tensor
    kt: Tensor | None
    v_sum: Tensor | None
    padding: Tensor
    kv_lengths: Tensor
    longest: int

    @property
    def capacity(self) -> int:
        """Return C, the tokens that fit."""
        return self.k.shape[2]

    @classmethod
    def of(
        cls, k: Tensor, v: Tensor, padding: Tensor | None = None, decode_steps: int = 0, transposed: bool = True
    ) -> KVCache:
        """Make a cache that holds a prompt's k and v [B, H, S, D], with space for `decode_steps` more tokens.

        padding [B] counts the columns before each row's first live token; None: there are none. With `transposed`, K is
        stored channel-major too.
        """
        b, h, s, d = k.shape
        capacity = -(-(s + decode_steps) // ALIGNMENT) * ALIGNMENT
        keys, values = k.new_zeros(b, h, capacity, d), v.new_zeros(b, h, capacity, d)
        keys[:, :, :s], values[:, :, :s] = k, v
        kt = None
        if transposed:
            kt = k.new_zeros(b, h, d, capacity)
            kt[..., :s] = k.transpose(2, 3)
        first = torch.zeros(b, dtype=torch.int32, device=k.device) if padding is None else padding.to(torch.int32)
        dead = torch.arange(s, device=k.device) < first[:, None]
        v_sum = v.masked_fill(dead[:, None, :, None], 0).sum(2, dtype=torch.float32)
        return cls(keys, values, kt, v_sum, first, torch.full_like(first, s), s)

    def stored_once(self) -> KVCache:
        """Return a view of this cache without the channel-major copy of K."""
        return KVCache(self.k, self.v, None, self.v_sum, self.padding, self.kv_lengths, self.longest)
