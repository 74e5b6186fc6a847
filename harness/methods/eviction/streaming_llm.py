"""Keeps attention sinks and a recent window, and counts positions inside the cache: StreamingLLM."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.attention.moved import Sinks
from harness.methods.about import About, Paper
from harness.methods.first_and_last import FirstAndLast
from harness.methods.knob_types import Initial

__all__ = ["StreamingLLM"]


@dataclass(frozen=True)
class StreamingLLM(FirstAndLast):
    """Keeps the `initial` oldest tokens and the k - initial most recent as if nothing had been between them.

    k counts the newest token, as it counts everywhere here: the release's start_size is initial, its recent_size k -
    initial - 1. Sinks move towards the query by as many positions as tokens were evicted, which gives the logits of
    positions that are counted anew in every step. `mask_prefill` does so for each query of the prompt, which is what
    the published perplexities feed token by token; otherwise the prompt is dense. Source: paper, section 3.2.
    """

    about: ClassVar[About] = About(
        title="StreamingLLM",
        access="positions",
        note="after a dense prefill by default; published perplexities evict from the first token on, which "
        "mask_prefill=true does",
        paper=Paper(
            title="Efficient Streaming Language Models with Attention Sinks",
            authors="Guangxuan Xiao, Yuandong Tian, Beidi Chen, Song Han, Mike Lewis",
            venue="ICLR",
            year=2024,
            arxiv="2309.17453",
        ),
    )

    initial: Initial = 4

    @property
    def sinks(self) -> Sinks:
        """Return the first tokens side by side with the others that are kept."""
        return Sinks(self.initial, self.k - self.initial, furthest=self.k - 1)
