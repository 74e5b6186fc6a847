"""Describes methods that no run can use: they are known by name and source, and refuse with their reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn, Self

from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.errors import InputError
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.ratio import Budget


@dataclass(frozen=True)
class Unrunnable(Method[None]):
    """Refuses whatever it is asked for; `about.not_runnable` says why."""

    def start(self, prefix: LayerPrefix) -> None:
        """Raise InputError."""
        self._refuse()

    def attend(self, step: Step, state: None) -> Tensor:
        """Raise InputError."""
        self._refuse()

    def cost(self, at: LayerAt) -> Cost:
        """Raise InputError."""
        self._refuse()

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Raise InputError."""
        cls._refuse()

    @classmethod
    def _refuse(cls) -> NoReturn:
        raise InputError(cls.about.not_runnable)
