"""Digests full pages by boxes around their keys, which are no bounds (ArkVale's "cuboid-mean", released code)."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.index.pages import Digests, Pages
from harness.attention.step import LayerPrefix


class Boxes(Digests):
    """Digests each full page by a box around the middle of its keys, as wide as they are far from it on average."""

    def __init__(self, prefix: LayerPrefix, size: int) -> None:
        super().__init__(Pages(prefix.first, size), prefix)
        keys, live = self.pages.cut(prefix.k)
        self.table[:, :, : keys.shape[2]] = box(keys).masked_fill(~live.all(3), 0)
        self._ends = frozenset(((prefix.first - 1) % size).tolist())

    def append(self, k: Tensor) -> None:
        """Digest the pages that the newest of k [B, H, N, D] fills: only then is any row but the newest read."""
        n, size = k.shape[2], self.pages.size
        if n < size or (n - 1) % size not in self._ends:
            return
        page, older = self.pages.newest(n)
        row = torch.arange(len(page), device=page.device)
        filled = (older == size - 1)[:, None, None]
        self.table[row, :, page] = torch.where(filled, box(k[:, :, -size:]), self.table[row, :, page])


def box(keys: Tensor) -> Tensor:
    """Return the upper and the negative lower corner of the box around keys [..., size, D], as [..., 2D]."""
    low, high = keys.aminmax(dim=-2)
    middle = (low + high) / 2
    radius = (keys - middle[..., None, :]).abs().mean(-2)
    return torch.cat((middle + radius, radius - middle), -1)
