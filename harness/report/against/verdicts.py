"""Judges per cell if our score agrees with the published one of the same setting."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.errors import InputError
from harness.report.against.published import method_of, published
from harness.report.load import Results
from harness.report.runs import Run

WITHIN, BETTER, WORSE = "within 2 standard errors", "better", "worse"
NONE, UNDECIDED = "no counterpart", "no standard error"
VERDICTS = (WITHIN, BETTER, WORSE, UNDECIDED, NONE)
LABELS = ("model", "data", "task", "metric", "variant", "cell", "params", "compression", "value", "stderr", "n", "run")
"""Columns of a cell that its verdict repeats."""
PUBLIC_DATA = ("hub", "local")
NOT_CONSTRUCTION = ("cue", "source")
"""Arguments of a task that do not change how its examples are made."""


def verdicts(results: Results) -> pd.DataFrame:
    """Judge every cell: a line with both scores, their difference, tolerance and verdict, and why if there is none.

    The tolerance is 2 sqrt(ours^2 + theirs^2) in standard errors, and the reading error where the published point was
    read off a figure.
    """
    points = _by_setting(published())
    runs = {run.name: run for run in results.runs}
    lines = [_line(cell, points, runs[str(cell["run"])]) for cell in results.cells.to_dict("records")]
    return pd.DataFrame(lines)


def _by_setting(points: pd.DataFrame) -> dict[tuple[Any, ...], Mapping[Any, Any]]:
    return {_key(point, point): point for point in points.to_dict("records")}


def _key(line: Mapping[Any, Any], knobs: Mapping[Any, Any]) -> tuple[Any, ...]:
    sizes = (knobs.get(name) for name in ("k", "r"))
    labels = (line[name] for name in ("model", "task", "metric", "method"))
    return (*labels, *(None if value is None or math.isnan(value) else float(value) for value in sizes))


def _line(cell: Mapping[Any, Any], points: Mapping[tuple[Any, ...], Mapping[Any, Any]], run: Run) -> dict[str, Any]:
    line = {name: cell[name] for name in LABELS}
    per_example = cell["per"] == "example"
    point = None if per_example else points.get(_key(cell, json.loads(cell["params"])))
    missing = "the paper has the same knobs for all examples" if per_example else "the paper has no such setting"
    reason = missing if point is None else _obstacle(cell, point, run)
    if reason or point is None:
        return line | {"verdict": NONE, "reason": reason}
    return line | _judged(cell, point)


def _obstacle(cell: Mapping[Any, Any], point: Mapping[Any, Any], run: Run) -> str:
    """Say why a cell cannot be judged by a published point of its model, task, k and r; "" if it can."""
    if run.data not in PUBLIC_DATA:
        return f"the paper's data set is public, this run's is {run.data}"
    changed = _construction(run, str(cell["task"]))
    if changed:
        return f"the task is built otherwise ({changed})"
    return str(cell["note"]) or _other_setting(cell, point)


def _construction(run: Run, task: str) -> str:
    """List the arguments by which a run's task differs from the published one."""
    given = run.task_arguments(task).items()
    changed = (f"{name}={value}" for name, value in given if value is not None and name not in NOT_CONSTRUCTION)
    return ", ".join(changed)


def _other_setting(cell: Mapping[Any, Any], point: Mapping[Any, Any]) -> str:
    """Name the first knob that the paper had set otherwise; "" if there is none."""
    from harness.methods import create, settings  # imports torch

    theirs = settings(method_of(point).resolved)
    try:
        ours = settings(create(str(cell["method"]), **json.loads(cell["params"])).resolved)
    except InputError as error:
        return str(error)
    other = next((knob for knob in theirs if ours[knob] != theirs[knob]), None)
    return f"published with {other}={theirs[other]}, run with {other}={ours[other]}" if other else ""


def _judged(cell: Mapping[Any, Any], point: Mapping[Any, Any]) -> dict[str, Any]:
    theirs, source = _their_error(cell, point)
    tolerance = 2 * math.hypot(cell["stderr"], theirs) + point["reading_error"]
    difference = cell["value"] - point["score"]
    line = {"published": point["score"], "published_stderr": theirs, "published_stderr_from": source}
    line |= {"published_compression": point["compression"], "difference": difference, "tolerance": tolerance}
    if math.isnan(tolerance):
        return line | {"verdict": UNDECIDED, "reason": "a single example has no standard error"}
    gain = difference if cell["higher_is_better"] else -difference
    verdict = WITHIN if abs(difference) <= tolerance else BETTER if gain > 0 else WORSE
    return line | {"verdict": verdict, "reason": ""}


def _their_error(cell: Mapping[Any, Any], point: Mapping[Any, Any]) -> tuple[float, str]:
    """Return theirs, printed or of a share, and "published"; else the spread of our examples at their number.

    The spread of ours stands for theirs on the assumption that both are equal.
    """
    if not math.isnan(point["stderr"]):
        return point["stderr"], "published"
    return cell["stderr"] * math.sqrt(cell["n"] / point["n"]), "our spread"
