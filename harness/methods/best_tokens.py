"""Scores the tokens cheaply, keeps the best and attends exactly to them: one path for all methods of that form."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TypeVar

from torch import Tensor

from harness.attention import Step, attend_to_best
from harness.attention.best import Counted
from harness.methods.contract import Method

S = TypeVar("S")


@dataclass(frozen=True)
class BestTokens(Method[S]):
    """Attends exactly to the tokens that `scores` ranks highest: a method says how it scores, and how many it keeps.

    Each KV head makes one choice, by its scores summed over the group. A field of the name overrides `per_query_head`.
    """

    @property
    def per_query_head(self) -> bool:
        """Return True if each query head makes its own choice."""
        return False

    @abstractmethod
    def scores(self, step: Step, state: S) -> Tensor:
        """Score the tokens, [B, H, G or 1, N], newest included. May update `state`; the mask is heeded elsewhere."""

    @abstractmethod
    def kept(self, step: Step) -> Counted:
        """Count the tokens that are kept: of all rows, or [B]."""

    def attend(self, step: Step, state: S) -> Tensor:
        """Score, keep the best, attend."""
        return attend_to_best(step, self.scores(step, state), self.kept(step), self.per_query_head)
