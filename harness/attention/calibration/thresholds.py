"""Finds the weight, or the logit, above which a query head has k tokens: the thresholds of Top-Theta."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from harness.attention.calibration.base import Calibrator
from harness.attention.prefill import LayerPrefill
from harness.attention.statistics import LargestWeight, observe


class Thresholds(NamedTuple):
    """Holds the threshold [H, G, L] of each query head at each of L numbers of tokens that a query sees, ascending."""

    lengths: Tensor
    values: Tensor

    def at(self, seen: Tensor) -> Tensor:
        """Return the thresholds [B, H, G] at numbers of tokens [B]: those of the nearest, of two the smaller."""
        after = torch.searchsorted(self.lengths, seen).clamp_max(len(self.lengths) - 1)
        before = (after - 1).clamp_min(0)
        nearer = (seen - self.lengths[before]).abs() <= (self.lengths[after] - seen).abs()
        return self.values[..., torch.where(nearer, before, after)].movedim(-1, 0)


class Samples(NamedTuple):
    """Holds values [H, G, Q] of queries that saw so many tokens each, [Q]."""

    seen: Tensor
    values: Tensor


@dataclass(frozen=True)
class ThresholdCalibrator(Calibrator[list[Samples]]):
    """Averages the (k+1)-th largest weight, or logit, over all queries of all prompts that see as many tokens.

    To the mean `sigma` population standard deviations are added. Source: Top-Theta (arXiv 2502.08363), section 3, on a
    dense prefill of every layer; the released code's layers see the sparse output of those before them (calib_tac).
    """

    k: int
    before_softmax: bool
    sigma: float

    def fold(self, so_far: list[Samples] | None, prompt: LayerPrefill) -> list[Samples]:
        """Take the queries of a prompt that see more than k tokens."""
        largest = LargestWeight(self.k, self.before_softmax)
        (values,) = observe([largest], prompt)[largest]
        seen = torch.arange(1, values.shape[-1] + 1, device=values.device)
        if prompt.window_mask is not None:
            seen = prompt.window_mask[0, 0].sum(-1)
        known = seen > self.k
        return [*(so_far or []), Samples(seen[known], values[..., known])]

    def finish(self, found: list[Samples]) -> Thresholds:
        """Put those of one length together; a length that no query saw has no threshold."""
        values = torch.cat([samples.values for samples in found], -1).double()
        lengths, place = torch.unique(torch.cat([samples.seen for samples in found]), return_inverse=True)
        total = values.new_zeros(*values.shape[:-1], len(lengths))
        count = values.new_zeros(len(lengths)).index_add(0, place, torch.ones_like(place, dtype=values.dtype))
        mean = total.index_add(-1, place, values) / count
        spread = total.index_add(-1, place, (values - mean[..., place]).square()) / count
        return Thresholds(lengths, mean + self.sigma * spread.sqrt())


def threshold_of(values: Tensor, sigma: float) -> Tensor:
    """Return the threshold [B, H, G] of values [B, H, G, S], which are NaN where there is none.

    To the mean `sigma` population standard deviations are added. It is -inf where there is no value at all.
    """
    known = ~values.isnan()
    count = known.sum(-1, keepdim=True).clamp_min(1)
    mean = values.nan_to_num(0).sum(-1, keepdim=True) / count
    spread = (values - mean).nan_to_num(0).square().sum(-1, keepdim=True) / count
    return (mean + sigma * spread.sqrt()).where(known.any(-1, keepdim=True), -torch.inf)[..., 0]
