"""LM-Infinite (Han et al., 2023, arXiv 2308.16137): the first tokens and the most recent ones; positions unchanged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, age, attend_to, top_newest
from harness.methods.checks import check_integers, check_switches
from harness.methods.contract import Method
from harness.methods.ratio import largest_knob

__all__ = ["LMInfinite"]


@dataclass(frozen=True)
class LMInfinite(Method[None]):
    """Keeps the `initial` oldest live tokens and the k - initial most recent, the newest included.

    `mask_prefill` applies the same pattern to the prompt, as the paper published Llama 2, Pythia and Mistral.
    """

    k: int
    initial: int = 16
    mask_prefill: bool = False

    def __post_init__(self) -> None:
        check_integers(self, k=1, initial=0)
        check_switches(self, "mask_prefill")

    def start(self, prefix: LayerPrefix) -> None:
        """The pattern depends on positions only."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Exact attention over the pattern."""
        oldest = step.mask.cumsum(-1) <= self.initial
        recency = (-age(step.mask)).float().masked_fill(oldest, torch.inf).masked_fill(~step.mask, -torch.inf)
        index = top_newest(recency, self.k)
        return attend_to(step, index.expand(-1, step.k.shape[1], -1))[0]

    def transfers(self, n: int, d: int) -> float:
        """2kD + 2D."""
        return 2 * min(self.k, n) * d + 2 * d

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """Solve k, which must leave room for the initial tokens and the newest."""
        least = min(n, fixed.get("initial", cls.initial) + 1)
        return largest_knob(cls, "k", (least, n), ratio, n, d, **fixed)

    def prefill_mask(self, s: int) -> Tensor | None:
        """Which of the s prompt tokens each prompt query sees, if the prompt is masked too."""
        if not self.mask_prefill:
            return None
        query, key = torch.arange(s)[:, None], torch.arange(s)[None]
        return (key <= query) & ((key < self.initial) | (query - key < self.k - self.initial))
