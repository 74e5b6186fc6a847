"""Keeps mean and covariance of a set of keys, and guesses from them how much attention the set receives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.selection import columns_of, gather_tokens


@dataclass
class Moments:
    """Holds sums over a set of keys, in float64: of keys [B, H, D], of their products [B, H, D, D], and their count.

    `members` [B, 1, N] bool says which keys the set holds, `count` [B, 1, 1] how many.
    """

    members: Tensor
    count: Tensor
    total: Tensor
    products: Tensor

    @classmethod
    def of(cls, k: Tensor, members: Tensor) -> Moments:
        """Take the moments of the keys k [B, H, N, D] that are members [B, 1, N]."""
        b, h, _, d = k.shape
        sums = (torch.zeros(*shape, dtype=torch.float64, device=k.device) for shape in ((b, h, d), (b, h, d, d)))
        empty = cls(torch.zeros_like(members), torch.zeros_like(members[..., :1], dtype=torch.long), *sums)
        empty.follow(k, members)
        return empty

    def follow(self, k: Tensor, members: Tensor) -> Tensor:
        """Add and take away keys until the set's members are these; returns how many had to be read, [B, 1]."""
        before = torch.nn.functional.pad(self.members, (0, members.shape[-1] - self.members.shape[-1]))
        index, changed = columns_of(before ^ members)
        sign = torch.where(members.gather(2, index), 1, -1) * changed
        keys = gather_tokens(k, index).double()
        signed = keys * sign[..., None]
        self.total, self.products = self.total + signed.sum(2), self.products + signed.transpose(2, 3) @ keys
        self.count, self.members = self.count + sign.sum(-1, keepdim=True), members
        return changed.sum(-1)

    def log_mass(self, q: Tensor, count: Tensor) -> Tensor:
        """Guess the log of the sum of exp(q.k) over so many such keys [B, 1, 1], for scaled q [B, H, G, D]: [B, H, G].

        That is the count times the mean of a log-normal: log count + q.mean + q' covariance q / 2.
        """
        q, known = q.double(), self.count.clamp_min(1)
        mean = self.total / known
        first = (q * mean[:, :, None]).sum(-1)
        second = (q @ (self.products / known[..., None]) * q).sum(-1)
        return count.clamp_min(1).log() + first + (second - first.square()).clamp_min(0) / 2
