"""Defines what every KV-cache technique implements: knobs as fields, state from `start`, `attend`, its cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Generic, Self, TypeVar

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.attention.statistics import Statistic
from harness.methods.about import About
from harness.methods.knob_types import check_types
from harness.methods.ratio import Budget

S = TypeVar("S")


class Method(ABC, Generic[S]):
    """Computes the attention of decode steps: a frozen dataclass of knobs, all that changes is in the state of `start`.

    Knobs are checked by their types when a method is made (harness/methods/knob_types.py), which raises InputError.
    Shape legend: harness/attention/__init__.py.
    """

    about: ClassVar[About]
    """Title, source and access pattern of the technique."""
    is_dense: ClassVar[bool] = False
    """True for dense attention, which is not expected to change any output."""
    oracle: ClassVar[bool] = False
    """True for a control whose choice reads K without paying for it."""

    def __post_init__(self) -> None:
        check_types(self)

    @abstractmethod
    def start(self, prefix: LayerPrefix) -> S:
        """Return the state of one layer after the shared dense prefill. Must not write to the prefix."""

    @abstractmethod
    def attend(self, step: Step, state: S) -> Tensor:
        """Compute the attention output [B, H, G, D] of one decode step. May update `state`, never `step`."""

    @abstractmethod
    def kept_tokens(self, n: int) -> int:
        """Count the tokens that a step attends to exactly when n are cached, the newest included."""

    @abstractmethod
    def transfers(self, n: int, d: int) -> float:
        """Count the elements moved per KV head and decode step at n cached tokens and head dimension d."""

    @classmethod
    @abstractmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve the free knobs so that all layers together keep to the budget. Raises InputError if nothing fits."""

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the prefill's statistics that `start` reads; a class attribute where no knob decides them."""
        return frozenset()

    @property
    def resolved(self) -> Self:
        """Return the same method with knobs that were left null set to what they stand for."""
        return self

    @property
    def masks_prefill(self) -> bool:
        """Return True if the method masks the prompt too: it has a prefill of its own, others share the dense one."""
        return False

    def prefill_mask(self, s: int) -> Tensor:
        """Return which of s prompt tokens each prompt query sees, [S, S] bool; asked of methods that mask it."""
        return torch.ones(s, s, dtype=torch.bool).tril()
