"""Finds the principal axes of keys, in which Loki scores tokens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from harness.attention.calibration.base import Calibrator, unrotated
from harness.attention.prefill import LayerPrefill


class Axes(NamedTuple):
    """Holds principal axes [..., D, D] in rows, strongest first, and the variance along each, [..., D]."""

    rows: Tensor
    variance: Tensor


class Sums(NamedTuple):
    """Holds totals over so many keys: of the keys [H, D] and of their outer products [H, D, D], in float64."""

    total: Tensor
    products: Tensor
    tokens: int

    def plus(self, other: Sums) -> Sums:
        """Add those of other keys."""
        return Sums(self.total + other.total, self.products + other.products, self.tokens + other.tokens)


@dataclass(frozen=True)
class PrincipalAxes(Calibrator[Sums]):
    """Finds the axes of each KV head over the keys of all prompts, `rotated` or before rotation.

    Source: Loki (arXiv 2406.02542), section 3: keys of a text, their mean subtracted, singular value decomposition.
    """

    rotated: bool = True

    @property
    def unrotates(self) -> bool:
        """Return True if keys are taken before rotation."""
        return not self.rotated

    def fold(self, so_far: Sums | None, prompt: LayerPrefill) -> Sums:
        """Add a prompt's keys."""
        keys = (prompt.k if self.rotated else unrotated(prompt, prompt.k))[0].double()
        added = Sums(keys.sum(1), keys.mT @ keys, keys.shape[1])
        return added if so_far is None else so_far.plus(added)

    def finish(self, found: Sums) -> Axes:
        """Decompose the covariance."""
        mean = found.total / found.tokens
        return axes_of(found.products / found.tokens - mean[:, :, None] * mean[:, None])


def principal_axes(k: Tensor, mask: Tensor) -> Axes:
    """Find the axes of each row's live keys: k [B, H, S, D], mask [B, 1, S]; rows [B, H, D, D].

    In float64, and with the mean subtracted before products are taken: padding then changes no bit.
    """
    live = mask[..., None]
    tokens = live.sum(2, keepdim=True)
    keys = k.masked_fill(~live, 0).double()
    centred = (keys - keys.sum(2, keepdim=True) / tokens).masked_fill(~live, 0)
    return axes_of(centred.mT @ centred / tokens)


def axes_of(covariance: Tensor) -> Axes:
    """Decompose covariances [..., D, D]."""
    variance, columns = torch.linalg.eigh(covariance)
    return Axes(columns.mT.flip(-2), variance.flip(-1).clamp_min(0))


def explaining(variance: Tensor, share: float) -> Tensor:
    """Count the strongest axes that explain a share of the variance [..., H, D] in every head: [...], the worst's."""
    explained = variance.cumsum(-1) / variance.sum(-1, keepdim=True).clamp_min(torch.finfo(variance.dtype).tiny)
    fewer = (explained < share - 1e-12).sum(-1) + 1
    return fewer.amax(-1).clamp_max(variance.shape[-1])
