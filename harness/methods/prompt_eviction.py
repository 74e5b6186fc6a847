"""Evicts prompt tokens once, at the end of the prefill, and keeps every newer one: one path for all such methods."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self, final

from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step
from harness.attention.survivors import Survivors
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Size, floor
from harness.methods.ratio import Budget, largest_knob


@dataclass(frozen=True)
class PromptEviction(Method[Survivors]):
    """Keeps k prompt tokens for good and every newer one: a method says which, in `keep`.

    `start` and `attend` are final, so that whatever attends to what is kept (harness/kernels/prompt_eviction) serves
    every method that only says which.
    """

    rounds_at_start: ClassVar[bool] = True  # a near tie decides which tokens stay for good
    excused: ClassVar[Mapping[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "tokens are evicted once, at the end of the prompt"
    }

    k: Size

    @abstractmethod
    def keep(self, prefix: LayerPrefix) -> Tensor:
        """Choose among `prefix.visible` what stays: [B, H, G or 1, S] bool, each query head its own or all the same."""

    def survivors(self, at: LayerAt) -> float:
        """Count the prompt tokens that a KV head is left with."""
        return min(self.k, at.prompt)

    @final
    def start(self, prefix: LayerPrefix) -> Survivors:
        """Evict."""
        bits = LayerAt(1, prefix.k.shape[3], prompt=1).newest if self.measured else None
        return Survivors(prefix, self.keep(prefix), bits)

    @final
    def attend(self, step: Step, state: Survivors) -> Tensor:
        """Attend to what is left and to every newer token."""
        return state.attend(step)

    def meter(self, state: Survivors) -> Meter | None:
        """Return what a measured method's steps moved."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Count K and V of what is left and of newer tokens as read and as held, the newest's as written."""
        cached = at.tokens(self.survivors(at) + at.n - at.prompt)
        return Cost(attend=cached, write=at.newest, held=cached)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, which must leave room for the other knobs."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
