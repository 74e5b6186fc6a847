"""Keeps the tokens that queries still to come are expected to attend to: Expected Attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import torch
from torch import Tensor

from harness.attention import LayerPrefix, are_best, softmax
from harness.attention.statistics import QueryMoments, Statistic
from harness.attention.unrotated import rope_of
from harness.methods.about import About, Paper
from harness.methods.contract import Need
from harness.methods.knob_types import Amount, AtLeast, Size, Within
from harness.methods.prompt_eviction import PromptEviction

__all__ = ["ExpectedAttention"]

Sinks = Annotated[int, AtLeast(0), Within("k")]
"""Counts the oldest tokens that always stay, of k, and whose queries are taken for untypical."""


@dataclass(frozen=True)
class ExpectedAttention(PromptEviction):
    """Keeps the first `sink` of k prompt tokens, and those whose keys and values the next `future` queries should read.

    Queries to come are taken to be distributed as the prompt's, turned by the mean rotation over their positions. A
    token is worth its softmax of the expected exp(logit), averaged over the group, plus `epsilon`, times the norm of
    its value with `value_norm`. Without `covariance` it is the logit of the mean query that counts.
    """

    about: ClassVar[About] = About(
        title="Expected Attention",
        access="history",
        note="logits at the architecture's softmax scale, where the released code has that of the head dimension; "
        "statistics of the prompt alone",
        paper=Paper(
            title="Expected Attention: KV Cache Compression by Estimating Attention from Future Queries Distribution",
            authors="Alessio Devoto, Maximilian Jeblick, Simon Jégou",
            year=2025,
            arxiv="2510.00636",
        ),
    )
    needs: ClassVar[frozenset[Need]] = frozenset({"rope"})

    future: Size = 512
    sink: Sinks = 4
    covariance: bool = True
    value_norm: bool = True
    epsilon: Amount = 0.0

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the distribution of the prompt's queries."""
        return frozenset({QueryMoments(self.sink)})

    def keep(self, prefix: LayerPrefix) -> Tensor:
        """Rank the tokens behind the sinks by what they are worth."""
        sinks = prefix.mask.cumsum(-1) <= self.sink
        weights = softmax(self._expected_logits(prefix), (prefix.visible & ~sinks)[:, :, None])
        worth = weights.mean(2) + self.epsilon
        if self.value_norm:
            worth = worth * prefix.v.to(worth.dtype).norm(dim=-1)
        worth = worth.masked_fill(sinks, torch.inf).masked_fill(~prefix.visible, -torch.inf)
        return are_best(worth, self.k)[:, :, None]

    def _expected_logits(self, prefix: LayerPrefix) -> Tensor:
        """Compute the logarithm of the expected exp(logit) of each token, [B, H, G, S], one query head at a time."""
        mean, covariance = self._of_queries_to_come(prefix)
        keys, logits = prefix.k.to(mean.dtype), []
        for head in range(mean.shape[2]):
            logit = (keys @ mean[:, :, head].mT)[..., 0]
            if self.covariance:
                logit = logit + (keys @ covariance[:, :, head] * keys).sum(-1) / 2
            logits.append(logit)
        return torch.stack(logits, 2)

    def _of_queries_to_come(self, prefix: LayerPrefix) -> tuple[Tensor, Tensor]:
        """Return mean [B, H, G, 1, D] and covariance [B, H, G, D, D] of queries at the mean of the next positions."""
        rope, moments = rope_of(prefix), prefix.statistics[QueryMoments(self.sink)]
        positions = prefix.lengths[:, None] + torch.arange(self.future, device=moments.device)
        positions = positions[:, None, None, None]
        moved = rope.rotate_on_average(moments, positions)
        return moved[..., :1, :], rope.rotate_on_average(moved[..., 1:, :].mT, positions)
