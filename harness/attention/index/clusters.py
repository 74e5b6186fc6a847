"""Clusters vectors by k-means, many problems at once, with the rules by which scikit-learn runs Lloyd's algorithm.

Shape legend: M problems, P points each, C clusters, W the width of a point.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

TOLERANCE = 1e-4
"""Share of the points' mean variance: centres that move by no more, all together and squared, have settled."""
DISTANCES = 1 << 17
"""Distances that are held at a time: as many as a CPU keeps near."""


@dataclass(frozen=True)
class Points:
    """Holds x [M, P, W], zero where `live` [M, P] is False, and the squared movement that ends each problem, [M]."""

    x: Tensor
    live: Tensor
    tolerance: Tensor

    def only(self, problems: Tensor) -> Points:
        """Return some of the problems."""
        return Points(self.x[problems], self.live[problems], self.tolerance[problems])


def cluster(x: Tensor, live: Tensor, first: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Return centres [M, C, W] and the cluster [M, P] of each of the points x [M, P, W] that are `live` [M, P].

    The points at first [M, C] are the first centres. An iteration assigns points to the nearest centre (the first of
    equals) and averages; it ends when no assignment changes, when centres have settled, or after so many iterations,
    and unless the first was the reason points are assigned once more. A problem without points has no labels (-1).
    """
    points, mean = _centred(x, live)
    centres = points.x.gather(1, first[..., None].expand(-1, -1, x.shape[2]))
    labels, again = _lloyd(points, centres, iterations)
    labels[again] = nearest(points.x[again], centres[again])
    return centres + mean, labels


def _lloyd(points: Points, centres: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
    """Move centres, in place; returns the labels and the problems whose points are to be assigned once more."""
    labels = torch.full(points.live.shape, -1, device=centres.device)
    again = torch.zeros(len(labels), dtype=torch.bool, device=centres.device)
    moving = points.live.any(-1).nonzero()[:, 0]  # the problems that go on; one without points has nothing to move
    current = points.only(moving)
    for _ in range(iterations):
        if not len(moving):
            break
        before = centres[moving]
        found = nearest(current.x, before)
        after = _means(current, found, before)
        same = ((found == labels[moving]) | ~current.live).all(-1)
        still = (after - before).square().sum((1, 2)) <= current.tolerance
        centres[moving], labels[moving], again[moving] = after, found, ~same
        goes_on = ~(same | still)
        if not goes_on.all():
            moving, current = moving[goes_on], current.only(goes_on)
    return labels, again.nonzero()[:, 0]


def nearest(x: Tensor, centres: Tensor) -> Tensor:
    """Return the nearest of centres [M, C, W] to each of the points x [M, P, W], the first of equals: [M, P].

    The points are the last axis of the distances: a CPU finds the least of so many columns three times as fast.
    """
    length = centres.square().sum(-1, keepdim=True)
    at_once = max(1, DISTANCES // max(1, x.shape[1] * centres.shape[1]))
    parts = zip(*(torch.split(of, at_once) for of in (x.mT, centres, length)), strict=True)
    return torch.cat([torch.baddbmm(offset, to, part, alpha=-2).min(1).indices for part, to, offset in parts])


def _centred(x: Tensor, live: Tensor) -> tuple[Points, Tensor]:
    """Subtract the mean [M, 1, W] of the live points, and say when centres have settled."""
    count = live.sum(-1).clamp_min(1)[:, None, None]
    hidden = ~live[..., None]
    mean = x.masked_fill(hidden, 0).sum(1, keepdim=True) / count
    x = (x - mean).masked_fill(hidden, 0)
    variance = x.square().sum(1, keepdim=True) / count
    return Points(x, live, TOLERANCE * variance.mean((1, 2))), mean


def _means(points: Points, labels: Tensor, before: Tensor) -> Tensor:
    """Average the points of each cluster; one that is empty takes the point that is farthest from its own centre."""
    m, clusters, width = before.shape
    place = (labels + torch.arange(m, device=labels.device)[:, None] * clusters).flatten()
    weight = points.live.to(points.x.dtype)
    totals = points.x.new_zeros(m * clusters, width).index_add_(0, place, points.x.flatten(0, 1)).view_as(before)
    counts = points.x.new_zeros(m * clusters).index_add_(0, place, weight.flatten()).view(m, clusters)
    if bool((counts == 0).any()):
        totals, counts = _fill_empty(points, labels, before, totals, counts)
    return totals / counts.clamp_min(1)[..., None]


def _fill_empty(
    points: Points, labels: Tensor, before: Tensor, totals: Tensor, counts: Tensor
) -> tuple[Tensor, Tensor]:
    """Give the i-th empty cluster of a problem the i-th farthest point, which leaves its own."""
    width = before.shape[2]
    own = before.gather(1, labels[..., None].expand(-1, -1, width))
    distance = (points.x - own).square().sum(-1).masked_fill(~points.live, -1)
    empty = counts == 0
    count = int(empty.sum(-1).max())
    farthest = distance.topk(count)
    order = empty.to(torch.int8).sort(dim=-1, descending=True, stable=True).indices[:, :count]  # the empty ones first
    takes = empty.gather(1, order) & (farthest.values[:, :1] > 0)
    moved = points.x.gather(1, farthest.indices[..., None].expand(-1, -1, width)) * takes[..., None]
    one = takes.to(counts.dtype)
    left = labels.gather(1, farthest.indices)
    totals = totals.scatter_add(1, left[..., None].expand_as(moved), -moved)
    totals = totals.scatter_add(1, order[..., None].expand_as(moved), moved)
    return totals, counts.scatter_add(1, left, -one).scatter_add(1, order, one)
