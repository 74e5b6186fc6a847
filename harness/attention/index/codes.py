"""Quantises keys by products: a codebook for each slice of their channels, and a code per token and slice.

Shape legend: U slices of D / U channels, C centroids of each; others in harness/attention/__init__.py.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from harness.attention.index.clusters import cluster, nearest
from harness.attention.scores import Scores


@dataclass(frozen=True)
class Codes:
    """Holds centroids [B, H, U, C, D/U] in the keys' dtype and codes [B, H, U, S + T], by column of the cache."""

    centroids: Tensor
    codes: Tensor

    @classmethod
    def learnt(cls, keys: Tensor, live: Tensor, first: Tensor, iterations: int) -> Codes:
        """Cluster the live ones of keys [B, H, S, D], live [B, S], slice by slice, from the tokens at first [B, U, C].

        At least float32 is computed in.
        """
        b, h, s, d = keys.shape
        slices = first.shape[1]
        precise = keys.to(torch.promote_types(keys.dtype, torch.float32))
        points = precise.view(b, h, s, slices, -1).transpose(2, 3).reshape(b * h * slices, s, -1)
        spread = first[:, None].expand(b, h, -1, -1).flatten(0, 2)
        centres, labels = cluster(points, live.repeat_interleave(h * slices, 0), spread, iterations)
        codes = labels.clamp_min(0).view(b, h, slices, s)
        return cls(centres.view(b, h, slices, -1, d // slices).to(keys.dtype), codes)

    def with_room(self, tokens: int) -> Codes:
        """Return the same codes, to which so many tokens can be added."""
        return Codes(self.centroids, torch.nn.functional.pad(self.codes, (0, tokens)))

    def add(self, key: Tensor, column: int) -> None:
        """Give a token's key [B, H, D] the nearest centroids' codes."""
        b, h, slices, clusters, width = self.centroids.shape
        precise = torch.promote_types(key.dtype, torch.float32)
        points = key.to(precise).reshape(b * h * slices, 1, width)
        found = nearest(points, self.centroids.to(precise).view(b * h * slices, clusters, width))
        self.codes[..., column] = found.view(b, h, slices)

    def logits(self, q: Tensor, scores: Scores, end: int) -> Tensor:
        """Approximate the logits [B, H, G, end] of queries [B, H, G, D] against the tokens in the first columns."""
        b, h, g, _ = q.shape
        slices = self.centroids.shape[2]
        of_slices = (q * scores.scale).view(b, h, g, slices, -1).transpose(2, 3)
        table = of_slices @ self.centroids.transpose(3, 4)  # [B, H, U, G, C]
        codes = self.codes[:, :, :, None, :end].expand(-1, -1, -1, g, -1)
        return scores.capped(table.gather(4, codes).sum(2))


def starts(seed: int, counts: list[int], clusters: int) -> Tensor:
    """Draw which of each row's points start its clusters, [B, C], as numpy's RandomState(seed) chooses them.

    A row of no more points than clusters has the first ones; nothing is to be learnt there.
    """
    drawn = [
        np.random.RandomState(seed).choice(count, clusters, replace=False) if count > clusters else np.arange(clusters)
        for count in counts
    ]
    return torch.from_numpy(np.stack(drawn))
