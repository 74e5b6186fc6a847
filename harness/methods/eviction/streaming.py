"""Keeps attention sinks and a recent window at their true positions: StreamingLLM's pattern without its positions."""

from dataclasses import dataclass
from typing import ClassVar

from harness.methods.about import About
from harness.methods.eviction.streaming_llm import StreamingLLM
from harness.methods.first_and_last import FirstAndLast
from harness.methods.knob_types import Initial

__all__ = ["Streaming"]


@dataclass(frozen=True)
class Streaming(FirstAndLast):
    """Keeps four initial tokens and the most recent ones."""

    about: ClassVar[About] = About(
        title="Sinks + window",
        access="positions",
        note="StreamingLLM's pattern at absolute positions; the published method, streaming_llm, counts them within "
        "the cache",
        paper=StreamingLLM.about.paper,
    )

    initial: Initial = 4
