"""Describes the prompt's queries as a normal distribution of queries that have not been rotated yet."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention.statistics.blocks import LayerPrompt
from harness.attention.statistics.walk import Statistic
from harness.errors import InputError


@dataclass(frozen=True)
class QueryMoments(Statistic):
    """Finds mean and covariance of un-rotated queries behind a row's first `skip`: [B, H, G, 1 + D, D].

    Row 0 is the mean, the others are the covariance, divided by the number of queries; all is 0 where there are none.
    Queries are times the softmax scale, so that their products with keys are logits, cap apart (expected attention).
    """

    skip: int
    by_token: ClassVar[bool] = False

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Go through the prompt twice: differences to the mean lose no precision where the mean is large."""
        b, h, g, _, d = prompt.q.shape
        count = (prompt.live & (prompt.time > self.skip)).sum(-1).clamp_min(1)[:, None, None, None, None]
        mean, covariance = prompt.full(b, h, g, 1, d), prompt.full(b, h, g, d, d)
        for q, counted in self._unrotated(prompt):
            mean += q.masked_fill(~counted, 0).sum(3, keepdim=True) / count
        for q, counted in self._unrotated(prompt):
            apart = (q - mean).masked_fill(~counted, 0)
            covariance += apart.mT @ apart / count
        return torch.cat([mean, covariance], 3)

    def _unrotated(self, prompt: LayerPrompt) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield queries [B, H, G, Q, D] in blocks, and which of them count, [B, 1, 1, Q, 1] bool."""
        if prompt.rope is None:
            raise InputError("the layer's rotary embedding is not known here: run the method in a model")
        for block in prompt.blocks():
            scaled = block.q.to(prompt.dtype) * prompt.scores.scale
            counted = block.live & (block.time > self.skip)
            yield prompt.rope.unrotate(scaled, block.time[:, None, None] - 1), counted[:, None, None, :, None]
