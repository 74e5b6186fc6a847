"""Solves knobs for a ratio: once for a task, or for each of its prompts."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from harness import methods
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Budget
from harness.methods.cell import Cell, Per
from harness.methods.ratio import Of


class Solver(Protocol):
    """Makes the cell of a method at a ratio of the bytes that are moved, or held."""

    @property
    def layers(self) -> tuple[LayerShape, ...]:
        """Return the model's layers."""
        ...

    @property
    def n(self) -> int:
        """Return a length of a prompt at which its cells have a method."""
        ...

    def cell(self, name: str, ratio: float, fixed: Mapping[str, Any], bounds: Of = "moved") -> Cell:
        """Make the cell that keeps the `fixed` knobs. Raises InputError if the ratio is out of reach."""
        ...


def solver_of(per: Per, layers: tuple[LayerShape, ...], typical: int, lengths: Collection[int]) -> Solver:
    """Choose by budget.per; `typical` is the task's mean prompt length, `lengths` are those of all prompts."""
    solvers: dict[Per, Solver] = {"task": PerTask(layers, typical), "example": PerExample(layers, lengths)}
    return solvers[per]


@dataclass(frozen=True)
class PerTask:
    """Solves knobs once, at the n tokens of a task's mean prompt: a shorter or longer one is at another ratio."""

    layers: tuple[LayerShape, ...]
    n: int

    def cell(self, name: str, ratio: float, fixed: Mapping[str, Any], bounds: Of = "moved") -> Cell:
        """Make the cell of the solved method."""
        return Cell.of(name, methods.solve(name, Budget(ratio, self.n, self.layers, bounds), **fixed), ratio, bounds)


@dataclass(frozen=True)
class PerExample:
    """Solves knobs for each prompt at its own length: every example is at the ratio."""

    layers: tuple[LayerShape, ...]
    lengths: Collection[int]

    @property
    def n(self) -> int:
        """Return the length of the shortest prompt."""
        return min(self.lengths)

    def cell(self, name: str, ratio: float, fixed: Mapping[str, Any], bounds: Of = "moved") -> Cell:
        """Make the cell that is solved prompt by prompt, each of which must reach the ratio."""
        found = Cell.per_example(name, fixed, ratio, self.layers, bounds)
        try:
            for n in sorted(set(self.lengths)):
                found.method_at(n)
        except InputError as error:
            raise InputError(f"{error} (with budget.per=example every prompt has to reach it)") from None
        return found
