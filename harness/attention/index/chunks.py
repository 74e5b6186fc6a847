"""Bounds the keys of neighbours in a cache from which tokens were evicted: chunks of another size in each row."""

from __future__ import annotations

import torch
from torch import Tensor


class Chunks:
    """Bounds chunks of cached tokens, counted from a row's oldest, by the largest and least entry in each channel.

    table [B, H, C, 2D] holds the largest and the negative least; zero where there is no chunk. `of_token` [B, K] says
    which chunk each token lies in, whatever it says of what is not `live`.
    """

    def __init__(self, keys: Tensor, live: Tensor, size: Tensor, decode_steps: int) -> None:
        """Bound keys [B, H, K, D], oldest first, of which those count that are live, [B, K], in chunks of size [B]."""
        b, h, _, d = keys.shape
        self.size, self.filled = size, live.sum(-1)
        self.of_token = (live.cumsum(-1) - 1).clamp_min(0) // size[:, None]
        self._rows: list[tuple[int, int]] = list(zip(self.filled.tolist(), size.tolist(), strict=True))
        self._newer = 0
        sides = torch.cat((keys, -keys), -1).masked_fill(~live[:, None, :, None], -torch.inf)
        empty = sides.new_full((b, h, self._count(decode_steps), 2 * d), -torch.inf)
        chunk = self.of_token[:, None, :, None].expand_as(sides)
        table = empty.scatter_reduce(2, chunk, sides, "amax")
        self.table = table.masked_fill(table == -torch.inf, 0)

    def append(self, key: Tensor) -> None:
        """Widen the bounds of the newest chunk by a key [B, H, D], or begin another."""
        chunk, older = self.filled // self.size, self.filled % self.size
        row = torch.arange(len(chunk), device=chunk.device)
        own = torch.cat((key, -key), -1)
        wider = torch.maximum(self.table[row, :, chunk], own)
        self.table[row, :, chunk] = torch.where((older == 0)[:, None, None], own, wider)
        self.filled, self._newer = self.filled + 1, self._newer + 1
        self.of_token = torch.cat((self.of_token, chunk[:, None]), -1)

    def take(self, columns: Tensor) -> Tensor:
        """Take columns [B, H, r] out of the chunks so far, [B, H, C, r]."""
        so_far = self.table[:, :, : self._count(self._newer)]
        return so_far.gather(3, columns[:, :, None].expand(-1, -1, so_far.shape[2], -1))

    def spread(self, scores: Tensor) -> Tensor:
        """Give every token the score of its chunk: of [B, H, G, C], [B, H, G, K]."""
        return scores.gather(3, self.of_token[:, None, None].expand(*scores.shape[:3], -1))

    def _count(self, newer: int) -> int:
        """Count the chunks of the row that has most, once there are so many newer tokens."""
        return max(-(-(filled + newer) // size) for filled, size in self._rows)
