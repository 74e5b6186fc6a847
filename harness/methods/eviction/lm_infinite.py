"""Keeps the first tokens and the most recent ones: LM-Infinite, with or without its ceiling on distances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.attention.moved import Sinks
from harness.methods.about import About, Paper
from harness.methods.first_and_last import FirstAndLast
from harness.methods.knob_types import Ceiling, Initial

__all__ = ["LMInfinite"]


@dataclass(frozen=True)
class LMInfinite(FirstAndLast):
    """Keeps the `initial` oldest live tokens and the k - initial most recent, the newest included.

    `mask_prefill` applies the same pattern to the prompt, as the paper published Llama 2, Pythia and Mistral. With a
    `ceiling`, all first tokens that are not among the recent ones are seen at that same distance, or at that of the
    oldest token before the newest where this is less; "local" is k - initial, as published. Source: paper, section 4.
    """

    about: ClassVar[About] = About(
        title="LM-Infinite",
        access="positions",
        note="without a ceiling on distances, the default, as SparQ's authors evaluate it; the published method has "
        "ceiling=local and mask_prefill=true",
        paper=Paper(
            title="LM-Infinite: Zero-Shot Extreme Length Generalization for Large Language Models",
            authors="Chi Han, Qifan Wang, Hao Peng, Wenhan Xiong, Yu Chen, Heng Ji, Sinong Wang",
            venue="NAACL",
            year=2024,
            arxiv="2308.16137",
        ),
    )

    initial: Initial = 16
    ceiling: Ceiling | None = None

    @property
    def sinks(self) -> Sinks | None:
        """Return the first tokens all at one distance, if there is a ceiling."""
        local = self.k - self.initial
        if self.ceiling is None:
            return None
        return Sinks(self.initial, local, local if self.ceiling == "local" else self.ceiling, together=True)
