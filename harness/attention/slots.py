"""Lists the tokens that are still cached, in an order of each KV head's own, where rows evict at different steps."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.step import LayerPrefix


class Slots:
    """Holds the columns of the cached tokens, index [B, H, K], and which of them exist, live [B, 1, K] bool.

    A row of fewer slots has dead ones in front. `counts` says how many each row has, the same in all its KV heads.
    Tensors are replaced, never written to.
    """

    def __init__(self, prefix: LayerPrefix) -> None:
        """List the prompt's tokens in the order of time."""
        b, h, s, _ = prefix.k.shape
        self.index = torch.arange(s, device=prefix.k.device).repeat(b, h, 1)
        self.live = prefix.mask
        self.counts: list[int] = prefix.lengths.tolist()

    def append(self, column: int) -> None:
        """Add a token to every row and KV head."""
        self.index = torch.nn.functional.pad(self.index, (0, 1), value=column)
        self.live = torch.nn.functional.pad(self.live, (0, 1), value=True)
        self.counts = [count + 1 for count in self.counts]

    def rows(self, full: int) -> list[int]:
        """Return the rows of `full` slots or more."""
        return [row for row, count in enumerate(self.counts) if count >= full]

    def by_column(self, values: Tensor, n: int) -> Tensor:
        """Return the values [B, H, K] of slots in the places of their columns, [B, H, n]; 0 elsewhere."""
        column = self.index.masked_fill(~self.live, n)  # which is then cut off
        return values.new_zeros(*values.shape[:2], n + 1).scatter(2, column, values)[..., :n]

    def keep(self, rows: list[int], slots: Tensor) -> None:
        """Keep of some rows the slots [R, H, K'] alone, in their order; the other rows are left as they are."""
        kept, width = slots.shape[2], self.index.shape[2]
        index, live = self.index.clone(), self.live.clone()
        index[rows, :, width - kept :] = index[rows].gather(2, slots)
        live[rows] = torch.arange(width, device=slots.device) >= width - kept
        self.counts = [kept if row in rows else count for row, count in enumerate(self.counts)]
        front = width - max(self.counts)
        self.index, self.live = index[..., front:], live[..., front:]
