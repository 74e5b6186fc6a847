"""Keeps the first tokens and the most recent ones: LM-Infinite without its distance ceiling, positions unchanged."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention import (
    Attended,
    LayerPrefill,
    LayerPrefix,
    Step,
    age,
    attend_prompt,
    attend_to,
    top_newest,
)
from harness.methods.about import About, Paper
from harness.methods.cost import Cost, LayerAt
from harness.methods.exactly_k import ExactlyK
from harness.methods.knob_types import Initial

__all__ = ["LMInfinite"]


@dataclass(frozen=True)
class LMInfinite(ExactlyK[None]):
    """Keeps the `initial` oldest live tokens and the k - initial most recent, the newest included.

    `mask_prefill` applies the same pattern to the prompt, as the paper published Llama 2, Pythia and Mistral.
    """

    about: ClassVar[About] = About(
        title="LM-Infinite",
        access="positions",
        note="without the published method's ceiling on distances",
        paper=Paper(
            title="LM-Infinite: Zero-Shot Extreme Length Generalization for Large Language Models",
            authors="Chi Han, Qifan Wang, Hao Peng, Wenhan Xiong, Yu Chen, Heng Ji, Sinong Wang",
            venue="NAACL",
            year=2024,
            arxiv="2308.16137",
        ),
    )

    initial: Initial = 16
    mask_prefill: bool = False

    def start(self, prefix: LayerPrefix) -> None:
        """Keep no state: the pattern depends on positions only."""

    def attend(self, step: Step, state: None) -> Tensor:
        """Attend exactly to the pattern."""
        oldest = step.mask.cumsum(-1) <= self.initial
        recency = (-age(step.mask)).float().masked_fill(oldest, torch.inf).masked_fill(~step.mask, -torch.inf)
        index = top_newest(recency, self.k)
        return attend_to(step, index)[0]

    def cost(self, at: LayerAt) -> Cost:
        """Count 2kD + 2D elements as moved; the k tokens of the pattern are all that is held."""
        return replace(super().cost(at), held=at.tokens(min(self.k, at.n)))

    @property
    def own_prefill(self) -> bool:
        """Return the knob `mask_prefill`."""
        return self.mask_prefill

    def prefill(self, prompt: LayerPrefill) -> Attended:
        """Attend to the pattern of the decode steps from each prompt query."""

        def seen(start: int, end: int) -> Tensor:
            query, key = (torch.arange(low, end, device=prompt.k.device) for low in (start, 0))
            return ((key < self.initial) | (query[:, None] - key < self.k - self.initial))[None, None, None]

        return attend_prompt(prompt, seen)
