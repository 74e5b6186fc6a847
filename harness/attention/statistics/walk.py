"""Gathers statistics of the dense prefill beside the attention itself, in blocks of queries, each walked once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection
from typing import ClassVar, Protocol

from torch import Tensor

from harness.attention.statistics.blocks import Block, LayerPrompt


class Statistic(ABC):
    """Describes one statistic of a prefill: a frozen dataclass whose fields are its parameters, and its key as well.

    A method says `observes = frozenset({LastQueries(32)})` and reads `prefix.statistics[LastQueries(32)]`. Padding must
    neither give nor receive.
    """

    by_token: ClassVar[bool] = True
    """True if the last axis is the prompt's tokens, which the cache right-aligns; False for [B, ...] of a row's own."""
    filler: ClassVar[float] = 0.0
    """What a statistic by token holds at padding."""
    reads_inputs: ClassVar[bool] = False
    """True if it is made of the hidden states that enter attention: `prompt.inputs` is then there."""

    @abstractmethod
    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Make the tensor [B, ...] that the blocks are folded into; complete already where no block is needed."""

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Add a block of queries, in place; blocks come in order, each once."""
        return


class Observe(Protocol):
    """Gathers statistics as `observe` does, or something that gives the same."""

    def __call__(self, statistics: Collection[Statistic], prompt: LayerPrompt) -> dict[Statistic, Tensor]:
        """Gather the statistics; arguments are those of `observe`."""
        ...


def observe(statistics: Collection[Statistic], prompt: LayerPrompt) -> dict[Statistic, Tensor]:
    """Gather statistics of a causal prefill in at least float32, each of the shape that it says."""
    if not statistics:
        return {}
    found = {statistic: statistic.begin(prompt) for statistic in statistics}
    for block in prompt.blocks():
        for statistic, so_far in found.items():
            statistic.fold(so_far, block)
    return found
