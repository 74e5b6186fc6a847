"""Computes SparQ Attention (algorithm 1 of its paper).

The r largest query components score all tokens approximately; exact attention over the best k, mixed with mean V.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step
from harness.attention.best import attend_and_reallocate
from harness.attention.index.channels import logits_of_largest
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Local, PageTokens, Size, quarter
from harness.methods.ratio import Budget, rank_and_tokens

__all__ = ["SparQ"]


@dataclass(frozen=True)
class SparQ(Method[MeanValue | None]):
    """Scores by r channels, keeps k tokens, the `local` newest (default k/4) always; reallocates the rest to mean V.

    `page_tokens` changes the cost alone: what is read from storage of pages, which come whole, as in SparF (InstInfer,
    Pan et al., HPCA 2025, arXiv 2409.04992; its outputs taken to be SparQ's, from the abstract and summaries).
    """

    about: ClassVar[About] = About(
        title="SparQ",
        access="channels",
        paper=Paper(
            title="SparQ Attention: Bandwidth-Efficient LLM Inference",
            authors="Luka Ribar, Ivan Chelombiev, Luke Hudlass-Galley, Charlie Blake, Carlo Luschi, Douglas Orr",
            venue="ICML",
            year=2024,
            arxiv="2312.04985",
        ),
    )

    r: Size
    k: Size = 128
    local: Local | None = None
    reallocate: bool = True
    page_tokens: PageTokens = 1

    @property
    def resolved(self) -> Self:
        """Return the method with the newest tokens that are always kept as a number."""
        return replace(self, local=quarter(self.k, self.local))

    def start(self, prefix: LayerPrefix) -> MeanValue | None:
        """Start the running sum of V, if the dropped mass is reallocated."""
        return MeanValue(prefix) if self.reallocate else None

    def attend(self, step: Step, state: MeanValue | None) -> Tensor:
        """Do algorithm 1 with the channels and tokens chosen once per KV head, over its group of queries."""
        mean = state.update(step) if state else None
        logits = logits_of_largest(step, self.r)
        return attend_and_reallocate(step, logits, self.k, quarter(self.k, self.local), mean)

    def cost(self, at: LayerAt) -> Cost:
        """Count rN + 2kD + 3D elements, and 2D more for the running mean of V (K is stored twice: paper, section 4).

        With pages of `page_tokens` rows, a channel's values of so many rows' size share a page, and at worst every
        chosen token lies in a page of its own, of K and of V.
        """
        mean = at.keys(1) if self.reallocate else 0
        page = self.page_tokens
        channel = at.n if page == 1 else -(-at.n // (page * at.head_dim)) * page * at.head_dim
        return Cost(
            choose=at.elements(min(self.r, at.head_dim) * channel),
            attend=at.tokens(min(self.k * page, at.n)) + mean,
            write=at.newest + at.keys(1) + mean,
            held=at.cache + at.keys(at.n) + mean,
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the running sum of V: K is held once here, whose channels both paths read from its rows."""
        return at.head_dim if self.reallocate else 0

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve r for a given k, or k for a given r; with neither, r = D/ratio and k as near to S/(2 ratio) as fits."""
        return rank_and_tokens(cls, budget, **fixed)
