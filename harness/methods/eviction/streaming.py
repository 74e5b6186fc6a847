"""StreamingLLM's cache (Xiao et al., ICLR 2024, arXiv 2309.17453): attention sinks and a recent window."""

from dataclasses import dataclass

from harness.methods.eviction.lm_infinite import LMInfinite

__all__ = ["Streaming"]


@dataclass(frozen=True)
class Streaming(LMInfinite):
    """LM-Infinite with four initial tokens. Positions stay absolute, where StreamingLLM renumbers within the cache."""

    initial: int = 4
