"""Keeps attention sinks and a recent window: StreamingLLM's cache."""

from dataclasses import dataclass
from typing import ClassVar

from harness.methods.about import About, Paper
from harness.methods.eviction.lm_infinite import LMInfinite
from harness.methods.knob_types import Initial

__all__ = ["Streaming"]


@dataclass(frozen=True)
class Streaming(LMInfinite):
    """Keeps four initial tokens and the most recent ones."""

    about: ClassVar[About] = About(
        title="StreamingLLM",
        access="positions",
        note="positions stay absolute, where the published method renumbers them within the cache",
        paper=Paper(
            title="Efficient Streaming Language Models with Attention Sinks",
            authors="Guangxuan Xiao, Yuandong Tian, Beidi Chen, Song Han, Mike Lewis",
            venue="ICLR",
            year=2024,
            arxiv="2309.17453",
        ),
    )

    initial: Initial = 4
