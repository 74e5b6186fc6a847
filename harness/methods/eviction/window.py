"""Keeps the most recent tokens only: the weakest baseline of the literature."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from harness.methods.about import About
from harness.methods.first_and_last import FirstAndLast

__all__ = ["Window"]


@dataclass(frozen=True)
class Window(FirstAndLast):
    """Keeps the k most recent tokens, and no initial ones."""

    about: ClassVar[About] = About(title="Window", access="positions")

    initial: Literal[0] = 0
