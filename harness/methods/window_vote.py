"""Lets the last queries of the prompt vote on which earlier tokens stay: what SnapKV and its successors share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from torch import Tensor

from harness.attention import LayerPrefix
from harness.attention.statistics import ReceivedFromLast, Statistic
from harness.attention.votes import Group, Pooling, before_window, elected, pooled, together
from harness.methods.cost import LayerAt
from harness.methods.knob_types import AtLeast, Odd, Within
from harness.methods.prompt_eviction import PromptEviction

Voters = Annotated[int, AtLeast(1), Within("k", left=1)]
"""Counts the last queries that vote, whose own tokens always stay, of k."""


@dataclass(frozen=True)
class WindowVote(PromptEviction):
    """Keeps the last `window` prompt tokens and those that their queries attend to most; a method says how many.

    Votes are pooled over `kernel` neighbours. With `group` "none" each query head chooses for itself, and a KV head
    holds what any of them keeps.
    """

    excused: ClassVar[Mapping[str, str]] = {
        **PromptEviction.excused,
        "tokens_that_a_sliding_window_dropped_have_no_influence": "queries of the prompt saw them, and gave them "
        "some of their votes",
    }

    window: Voters = 32
    kernel: Odd = 7
    pooling: Pooling = "max"
    group: Group = "mean"

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the attention that the window gives."""
        return frozenset({ReceivedFromLast(self.window)})

    @abstractmethod
    def elects(self, prefix: LayerPrefix, votes: Tensor) -> int | Tensor:
        """Count the tokens that win beside the window: a number, or a tensor broadcast to [B, H, G or 1]."""

    def keep(self, prefix: LayerPrefix) -> Tensor:
        """Count the votes, keep the winners and the window."""
        votes = self.votes(prefix)
        return elected(prefix, votes, self.elects(prefix, votes), self.window)

    def votes(self, prefix: LayerPrefix) -> Tensor:
        """Return the pooled votes [B, H, G or 1, S], -inf for what is no candidate."""
        received = prefix.statistics[ReceivedFromLast(self.window)]
        among = before_window(prefix, self.window)
        return pooled(together(received, self.group), among, self.kernel, self.pooling)

    def survivors(self, at: LayerAt) -> float:
        """Count the tokens that a KV head is left with, at most: `group` "none" lets each query head keep others."""
        return self.left(at, self.k - self.window)

    def left(self, at: LayerAt, elected: float) -> float:
        """Count the window and so many winners, of each query head where these choose alone."""
        choices = at.group if self.group == "none" else 1
        return min(self.window + choices * elected, at.prompt)
