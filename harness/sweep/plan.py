"""Lays out the grid of one model and task: which methods, with which knobs, at which ratios."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from harness import methods
from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods import Method
from harness.methods.cell import Cell
from harness.methods.ratio import Of, exemption_of
from harness.sweep.solving import Solver

Refuse = Callable[[Method[Any]], str | None]
"""Says in a sentence why a model cannot run a method; None if it can."""
ADVICE: Mapping[Of, str] = {
    "moved": "Lower the ratio, try budget=balanced, give knobs or name other methods",
    "held": "Lower the ratio, or name methods that keep less than the whole cache, such as those of eviction",
}
"""Says what can be done where no method reaches a ratio of the bytes that are moved, or held."""


class Asked(NamedTuple):
    """Names a ratio, and the bytes that it is of."""

    ratio: float
    bounds: Of


@dataclass(frozen=True)
class Skipped:
    """Names a method that is left out, with the ratio that was asked of it if any, and why."""

    name: str
    ratio: float | None
    reason: str
    bounds: Of = "moved"


@dataclass(frozen=True)
class Plan:
    """Lists the cells to run and what had to be left out."""

    cells: list[Cell]
    skipped: list[Skipped]


def check_grid(names: Sequence[str], knobs: Mapping[str, Mapping[str, Any]], ratios: Sequence[float]) -> None:
    """Raise InputError for methods or knobs that are unknown or cannot be run, and for ratios below 1."""
    if not names:
        raise InputError("methods=[] runs nothing: name at least one, for example methods=[dense,sparq]")
    for name in names:
        methods.check_runnable(name)
        methods.check_knobs(name, dict(knobs.get(name, {})))
    for ratio in ratios:
        check_ratio(ratio)


def check_ratio(ratio: float) -> None:
    """Raise InputError for a ratio below 1."""
    if not ratio >= 1:
        raise InputError(f"ratio {ratio:g} is no compression: ratios are dense / method bytes, such as 2, 4, 8")


def make_plan(
    names: Sequence[str],
    knobs: Mapping[str, Mapping[str, Any]],
    ratios: Sequence[float],
    solver: Solver,
    memory_ratios: Sequence[float] = (),
    refuse: Refuse = lambda _: None,
) -> Plan:
    """Make the cells of each method: as set, or solved for each ratio of bytes moved, then of bytes held.

    A knob that is a list makes a cell of each value. What `refuse` has a sentence on is skipped with it. Raises
    InputError for a ratio that no compressing method reaches, and where nothing is left.
    """
    check_grid(names, knobs, [*ratios, *memory_ratios])
    asked = [Asked(ratio, "moved") for ratio in ratios] + [Asked(ratio, "held") for ratio in memory_ratios]
    every = [(name, settings) for name in dict.fromkeys(names) for settings in _combinations(knobs.get(name, {}))]
    parts = [_plan_setting(name, settings, asked, solver, refuse) for name, settings in every]
    cells: dict[str, Cell] = {}
    for cell in itertools.chain.from_iterable(part.cells for part in parts):
        cells.setdefault(cell.id, cell)
    plan = Plan(list(cells.values()), [skip for part in parts for skip in part.skipped])
    _check_every_ratio_reached(plan)
    return plan


def _plan_setting(name: str, settings: dict[str, Any], asked: Sequence[Asked], solver: Solver, refuse: Refuse) -> Plan:
    """Plan one method under one setting: as it is, or with the knobs that it leaves open solved for each ratio."""
    if misfit := find_misfit(name, settings, solver.layers):
        return Plan([], [Skipped(name, None, misfit)])
    open_knobs, plan = methods.open_knobs(name, settings), Plan([], [])
    if not open_knobs:
        whole = Cell.of(name, methods.create(name, **settings), 1.0 if methods.find(name).is_dense else None)
        _add(plan, whole, refuse(whole.method_at(solver.n)))
        return plan
    if not asked:
        raise InputError(f"nothing solves {' and '.join(open_knobs)} of {name}: set it, or ask for ratios=[2,4,8]")
    for ratio, bounds in asked:
        try:
            cell = solver.cell(name, ratio, settings, bounds)
        except InputError as error:
            plan.skipped.append(Skipped(name, ratio, str(error), bounds))
        else:
            _add(plan, cell, refuse(cell.method_at(solver.n)))
    return plan


def _add(plan: Plan, cell: Cell, refused: str | None) -> None:
    """Add a cell to a plan, or the reason why it is left out."""
    if refused is None:
        plan.cells.append(cell)
    else:
        plan.skipped.append(Skipped(cell.name, cell.ratio, f"{cell.name}: {refused}", cell.bounds))


def find_misfit(name: str, settings: Mapping[str, Any], layers: Sequence[LayerShape]) -> str | None:
    """Say why the layers that a method leaves dense by its own defaults do not fit a model; None if they do.

    Raises InputError where they were given.
    """
    cls = methods.find(name)
    misfit = exemption_of(cls, settings).misfit([layer.window is not None for layer in layers])
    if cls.is_dense or misfit is None:
        return None
    if not {"dense_layers", "layers"} & settings.keys():
        return f"{name}: {misfit}; set method.{name}.dense_layers"
    raise InputError(f"method.{name}: {misfit}")


def _combinations(knobs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Combine listed values in every way; knobs that are null are left for the solver or the default."""
    given = {knob: value if isinstance(value, list) else [value] for knob, value in knobs.items() if value is not None}
    return [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())]


def _check_every_ratio_reached(plan: Plan) -> None:
    """Raise InputError for a ratio that every method had to skip, and where every method was skipped."""
    reached = {(cell.bounds, cell.ratio) for cell in plan.cells}
    for bounds, ratio in dict.fromkeys((s.bounds, s.ratio) for s in plan.skipped):
        if ratio is not None and (bounds, ratio) not in reached:
            what = f"{'memory ' if bounds == 'held' else ''}ratio {ratio:g}"
            reasons = "; ".join(s.reason for s in plan.skipped if (s.bounds, s.ratio) == (bounds, ratio))
            raise InputError(f"no method reaches {what}: {reasons}. {ADVICE[bounds]}")
    if not plan.cells:
        raise InputError(f"nothing is left to run: {'; '.join(dict.fromkeys(s.reason for s in plan.skipped))}")
