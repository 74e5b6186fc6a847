"""Lays out the grid of one model and task: which methods, with which knobs, at which ratios."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import methods
from harness.errors import InputError
from harness.methods.cell import Cell
from harness.sweep.solving import Solver


@dataclass(frozen=True)
class Skipped:
    """Names a ratio that a method cannot reach, and why."""

    name: str
    ratio: float
    reason: str


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
        raise InputError(f"ratio {ratio:g} is no compression: ratios are dense / method transfers, such as 2, 4, 8")


def make_plan(
    names: Sequence[str],
    knobs: Mapping[str, Mapping[str, Any]],
    ratios: Sequence[float],
    solver: Solver,
) -> Plan:
    """Make the cells of each method: as set, or solved for each ratio.

    A knob that is a list makes a cell of each value. Raises InputError for a ratio that no compressing method reaches.
    """
    check_grid(names, knobs, ratios)
    parts = [
        _plan_setting(name, settings, ratios, solver)
        for name in dict.fromkeys(names)
        for settings in _combinations(knobs.get(name, {}))
    ]
    cells: dict[str, Cell] = {}
    for cell in itertools.chain.from_iterable(part.cells for part in parts):
        cells.setdefault(cell.id, cell)
    plan = Plan(list(cells.values()), [skip for part in parts for skip in part.skipped])
    _check_every_ratio_reached(plan)
    return plan


def _plan_setting(name: str, settings: dict[str, Any], ratios: Sequence[float], solver: Solver) -> Plan:
    """Plan one method under one setting: as it is, or with the knobs that it leaves open solved for each ratio."""
    if not methods.open_knobs(name, settings):
        return Plan([Cell.of(name, methods.create(name, **settings), 1.0 if methods.find(name).is_dense else None)], [])
    plan = Plan([], [])
    for ratio in ratios:
        try:
            plan.cells.append(solver.cell(name, ratio, settings))
        except InputError as error:
            plan.skipped.append(Skipped(name, ratio, str(error)))
    return plan


def _combinations(knobs: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Combine listed values in every way; knobs that are null are left for the solver or the default."""
    given = {knob: value if isinstance(value, list) else [value] for knob, value in knobs.items() if value is not None}
    return [dict(zip(given, values, strict=True)) for values in itertools.product(*given.values())]


def _check_every_ratio_reached(plan: Plan) -> None:
    """Raise InputError for a ratio that every method had to skip."""
    reached = {cell.ratio for cell in plan.cells}
    for ratio in dict.fromkeys(s.ratio for s in plan.skipped):
        if ratio not in reached:
            reasons = "; ".join(s.reason for s in plan.skipped if s.ratio == ratio)
            raise InputError(
                f"no method reaches ratio {ratio:g}: {reasons}. Lower the ratio, try budget=balanced or give knobs"
            )
