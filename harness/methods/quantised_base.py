"""Lets a selection of tokens read them from the cache that KIVI quantises, and counts the bits of what it reads."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.attention.packed import PackedCache, PackedTokens
from harness.attention.quantised import STORED, quantised_bits
from harness.methods.compressed.kivi import KIVI
from harness.methods.cost import ELEMENT, LayerAt


@dataclass
class QuantisedBase:
    """Holds K and V of a layer as KIVI does, for all that a step reads of them."""

    kivi: KIVI
    k: PackedTokens
    v: PackedTokens
    cache: PackedCache

    @classmethod
    def of(cls, kivi: KIVI, prefix: LayerPrefix) -> tuple[Self, LayerPrefix]:
        """Quantise a prompt; returns the prefix with its keys and values as they are read back, too."""
        k, v = kivi.tokens(prefix)
        base = cls(kivi, k, v, PackedCache(prefix, k, v))
        seen_k, seen_v = base._read(prefix.k.shape[2])
        return base, replace(prefix, k=seen_k, v=seen_v)

    def add(self, step: Step) -> tuple[Step, bool]:
        """Add the newest token; returns the step as it is read back, and whether older keys became codes."""
        before = list(self.k.settled)
        self.cache.settle()
        self.cache.append(step)
        k, v = self._read(step.length)
        return replace(step, k=k, v=v), self.k.settled != before

    def bits_of(self, kept: Tensor, head_dim: int) -> Tensor:
        """Count the bits of K and V of kept [B, H, N] columns, [B]: codes with their scales, others exactly.

        Keys that are codes share scales and least numbers with their group of tokens, each group's read once.
        """
        g, first = self.kivi.group_size, self.cache.first
        bits_k, bits_v = self.kivi.bits_of_both
        place = torch.arange(kept.shape[2], device=kept.device) - torch.tensor(first, device=kept.device)[:, None]
        k, v = (
            kept & (place < torch.tensor(of.settled, device=kept.device)[:, None])[:, None] for of in (self.k, self.v)
        )
        group = (place.clamp_min(0) // g)[:, None].expand_as(k)
        groups = k.new_zeros(*k.shape[:2], kept.shape[2] // g + 1, dtype=torch.int32).scatter_add_(2, group, k.int())
        keys = k.sum((1, 2)) * head_dim * bits_k + (groups > 0).sum((1, 2)) * head_dim * 2 * STORED
        values = v.sum((1, 2)) * quantised_bits(head_dim, bits_v, g)
        exact = 2 * kept.sum((1, 2)) - k.sum((1, 2)) - v.sum((1, 2))
        return keys + values + exact * head_dim * ELEMENT

    def _read(self, n: int) -> tuple[Tensor, Tensor]:
        return self.cache.in_columns(self.k.read(), self.v.read(), n)


def planned_bits(kivi: KIVI, at: LayerAt, tokens: float, page: int) -> float:
    """Estimate the bits of so many tokens of K and V that are read in pages, as many of them exact as of all tokens.

    A page of keys reads the scales of the groups that it lies in.
    """
    g, r, d = kivi.group_size, kivi.residual_length, at.head_dim
    bits_k, bits_v = kivi.bits_of_both
    codes_k, codes_v = ((at.n - 1) // r * r / at.n, max(0, at.n - 1 - r) / at.n)
    keys = d * (bits_k + 2 * STORED * -(-page // g) / page)
    codes = codes_k * keys + codes_v * quantised_bits(d, bits_v, g)
    return tokens * (codes + (2 - codes_k - codes_v) * d * ELEMENT)
