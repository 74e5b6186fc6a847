"""Window eviction: the most recent tokens only, the weakest baseline of the literature."""

from dataclasses import dataclass

from harness.methods.eviction.lm_infinite import LMInfinite

__all__ = ["Window"]


@dataclass(frozen=True)
class Window(LMInfinite):
    """LM-Infinite without initial tokens."""

    initial: int = 0
