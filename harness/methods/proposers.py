"""Proposes tokens generously, for a method to choose among: by nothing, by pages, by labels, by channels.

What Quest, Double Sparsity and SparQ score by, without what else they do; each with its own price.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, are_best
from harness.attention.index.channels import logits_of_largest
from harness.attention.index.labelled import Heavy, Labelled, magnitude
from harness.attention.index.labels import label_bits, quantised_key
from harness.attention.index.pages import Bounds, best_pages, tokens_of
from harness.methods.cost import ELEMENT, Cost, LayerAt


@dataclass(frozen=True)
class Proposer(ABC):
    """Proposes tokens of a budget, once per KV head or per query head."""

    token_budget: int
    per_query_head: bool

    def tokens(self, n: int) -> int:
        """Count the tokens that are proposed of n."""
        return min(n, self.token_budget)

    @abstractmethod
    def cost(self, at: LayerAt) -> Cost:
        """Count the bits of the index that a KV head scores by: read to choose, written, and held."""

    def state_elements(self, at: LayerAt) -> float:
        """Count the elements that the index takes here, where codes are held as the numbers that they stand for."""
        return self.cost(at).held / ELEMENT

    @abstractmethod
    def start(self, prefix: LayerPrefix) -> Any:
        """Return the index of the prompt."""

    @abstractmethod
    def propose(self, step: Step, index: Any) -> Tensor:
        """Add the newest token to the index, and return which tokens are proposed: [B, H, G or 1, N] bool."""

    def best(self, step: Step, scores: Tensor) -> Tensor:
        """Return which tokens are the best by scores [B, H, G, N], summed over the group if one choice is made."""
        of = scores if self.per_query_head else scores.sum(2, keepdim=True)
        return are_best(of.masked_fill(~step.mask[:, :, None], -torch.inf), self.token_budget) & step.mask[:, :, None]


@dataclass(frozen=True)
class Everything(Proposer):
    """Proposes all tokens, whatever the budget."""

    def tokens(self, n: int) -> int:
        """Count all."""
        return n

    def cost(self, at: LayerAt) -> Cost:
        """Count nothing."""
        return Cost()

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no index."""

    def propose(self, step: Step, index: None) -> Tensor:
        """Return all live tokens."""
        b, h = step.k.shape[:2]
        return step.mask[:, :, None].expand(b, h, 1, -1)


@dataclass(frozen=True)
class BestPages(Proposer):
    """Proposes the pages with the highest bounds, as Quest but rounded up and without its least number of pages."""

    page_size: int

    @property
    def pages(self) -> int:
        """Count the pages that are proposed."""
        return -(-self.token_budget // self.page_size)

    def tokens(self, n: int) -> int:
        """Count the tokens of whole pages."""
        return min(n, self.pages * self.page_size)

    def cost(self, at: LayerAt) -> Cost:
        """Count two rows of bounds per page, and those of the newest token's page as written."""
        bounds = at.tokens(-(-at.n // self.page_size))
        return Cost(choose=bounds, write=at.newest, held=bounds)

    def start(self, prefix: LayerPrefix) -> Bounds:
        """Bound the prompt's pages."""
        return Bounds(prefix, self.page_size)

    def propose(self, step: Step, index: Bounds) -> Tensor:
        """Bound the newest token's page anew, and return the best pages' tokens."""
        n = step.length
        index.append(step.k[:, :, -1], n)
        scores = (index.score if self.per_query_head else index.score_of_group)(step.q, n)
        chosen = best_pages(step, index.pages, scores, self.pages)
        return tokens_of(index.pages, chosen, n) & step.mask[:, :, None]


@dataclass(frozen=True)
class BestLabels(Proposer):
    """Proposes by labels of r channels of K (half of them if None), the query's as it is: unlike Double Sparsity's."""

    r: int | None
    bits: int
    channels: Heavy

    def _rank(self, d: int) -> int:
        return min(self.r or d // 2, d)

    def cost(self, at: LayerAt) -> Cost:
        """Count the labels of all tokens, and the newest's as written; labels of its own for each query head."""
        label = self._labels(at) * label_bits(self._rank(at.head_dim), self.bits)
        return Cost(choose=at.n * label, write=label, held=at.n * label)

    def state_elements(self, at: LayerAt) -> float:
        """Count r numbers per label."""
        return at.n * self._labels(at) * self._rank(at.head_dim)

    def _labels(self, at: LayerAt) -> int:
        """Count the labels of a token per KV head."""
        return at.group if self.per_query_head and self.channels in ("q", "qk") else 1

    def start(self, prefix: LayerPrefix) -> Labelled:
        """Choose channels and label the prompt's keys."""
        magnitudes = magnitude(prefix, self.channels, self.per_query_head)
        return Labelled(prefix, magnitudes, self._rank(prefix.k.shape[3]), lambda x: quantised_key(x, self.bits))

    def propose(self, step: Step, index: Labelled) -> Tensor:
        """Label the newest key, and return the tokens whose labels score best."""
        return self.best(step, index.scores(step, lambda q: q))


@dataclass(frozen=True)
class BestChannels(Proposer):
    """Proposes by the r largest query components (half of them if None), as SparQ but without a local window."""

    r: int | None

    def _rank(self, d: int) -> int:
        return min(self.r or d // 2, d)

    def cost(self, at: LayerAt) -> Cost:
        """Count r channels of all keys; K is stored twice, so that they lie side by side."""
        read = at.elements(self._rank(at.head_dim) * at.n)
        return Cost(choose=read, write=at.keys(1), held=at.keys(at.n))

    def state_elements(self, at: LayerAt) -> float:
        """Count nothing: here K is not stored twice."""
        return 0

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no index of its own here: channels are read out of K."""

    def propose(self, step: Step, index: None) -> Tensor:
        """Return the tokens with the best approximate logits."""
        return self.best(step, logits_of_largest(step, self._rank(step.q.shape[3])))
