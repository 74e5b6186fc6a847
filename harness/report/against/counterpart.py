"""When a published point of the same model, task, k and r is still another experiment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.report.runs import Run

PUBLIC_DATA = ("hub", "local")
NOT_CONSTRUCTION = ("cue", "source")
"""Arguments of a task that do not change how its examples are made."""


def obstacle(cell: Mapping[Any, Any], knobs: Mapping[str, Any], point: Mapping[Any, Any], run: Run) -> str:
    """Why a cell cannot be judged by a published point; "" if it can."""
    if run.data not in PUBLIC_DATA:
        return f"the paper's data set is public, this run's is {run.data}"
    changed = _construction(run, str(cell["task"]))
    if changed:
        return f"the task is built otherwise ({changed})"
    if cell["note"]:
        return str(cell["note"])
    return _settings(knobs, point)


def _construction(run: Run, task: str) -> str:
    told = run.task_arguments(task).items()
    changed = (f"{name}={value}" for name, value in told if value is not None and name not in NOT_CONSTRUCTION)
    return ", ".join(changed)


def _settings(knobs: Mapping[str, Any], point: Mapping[Any, Any]) -> str:
    """Knobs besides k and r, as the paper had them for this model."""
    quarter = int(knobs.get("k", 0)) // 4
    expected: dict[str, dict[str, Any]] = {
        "sparq": {"local": quarter, "reallocate": point["reallocate"]},
        "h2o": {"local": quarter},
        "lm_infinite": {"initial": 16, "mask_prefill": point["mask_prefill"]},
        "flexgen": {"reallocate": False, "before_softmax": False},
    }
    for name, value in expected.get(str(point["method"]), {}).items():
        ours = knobs.get(name)
        ours = quarter if name == "local" and ours is None else ours
        if ours != value:
            return f"published with {name}={value}, run with {name}={ours}"
    return ""
