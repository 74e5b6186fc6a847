"""Keeps the first tokens and the most recent ones: LM-Infinite without its distance ceiling, positions unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, age, attend_to, top_newest
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.knob_types import Count, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["LMInfinite"]


@dataclass(frozen=True)
class LMInfinite(Method[None]):
    """Keeps the `initial` oldest live tokens and the k - initial most recent, the newest included.

    `mask_prefill` applies the same pattern to the prompt, as the paper published Llama 2, Pythia and Mistral.
    """

    about: ClassVar[About] = About(
        title="LM-Infinite",
        access="positions",
        paper=Paper(
            title="LM-Infinite: Zero-Shot Extreme Length Generalization for Large Language Models",
            authors="Chi Han, Qifan Wang, Hao Peng, Wenhan Xiong, Yu Chen, Heng Ji, Sinong Wang",
            venue="NAACL",
            year=2024,
            arxiv="2308.16137",
        ),
    )

    k: Size
    initial: Count = 16
    mask_prefill: bool = False

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state: the pattern depends on positions only."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Attend exactly to the pattern."""
        oldest = step.mask.cumsum(-1) <= self.initial
        recency = (-age(step.mask)).float().masked_fill(oldest, torch.inf).masked_fill(~step.mask, -torch.inf)
        index = top_newest(recency, self.k)
        return attend_to(step, index.expand(-1, step.k.shape[1], -1))[0]

    def kept_tokens(self, n: int) -> int:
        """Keep k of n."""
        return min(self.k, n)

    def transfers(self, n: int, d: int) -> float:
        """Count 2kD + 2D."""
        return 2 * min(self.k, n) * d + 2 * d

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, which must leave room for the initial tokens and the newest."""
        least = min(budget.tokens, fixed.get("initial", cls.initial) + 1)
        return largest_knob(cls, "k", (least, budget.tokens), budget, **fixed)

    @property
    def masks_prefill(self) -> bool:
        """Return the knob `mask_prefill`."""
        return self.mask_prefill

    def prefill_mask(self, s: int) -> Tensor:
        """Return the pattern of the decode steps for each of s prompt queries, [S, S] bool."""
        query, key = torch.arange(s)[:, None], torch.arange(s)[None]
        return (key <= query) & ((key < self.initial) | (query - key < self.k - self.initial))
