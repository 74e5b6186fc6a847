"""Labels variants of a method, curves of a figure and rows of a table, by switches where several of them ran."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd


def label_variants(cells: pd.DataFrame) -> pd.Series[str]:
    """Label each cell "SparQ", or "SparQ (no reallocate)" where `reallocate` differs between cells of its method.

    Knobs solved per task and per example are two variants too.
    """
    switches = [_switches(params, per) for params, per in zip(cells["params"], cells["per"], strict=True)]
    values: dict[tuple[str, str], set[str]] = {}
    for method, on in zip(cells["method"], switches, strict=True):
        for knob, value in on.items():
            values.setdefault((method, knob), set()).add(repr(value))
    labels = [
        _label(title, {knob: value for knob, value in on.items() if len(values[method, knob]) > 1})
        for title, method, on in zip(cells["title"], cells["method"], switches, strict=True)
    ]
    return pd.Series(labels, index=cells.index, dtype=object)


def knob(params: str, name: str) -> float | None:
    """Return a numeric knob of a cell, if it has it, the same for all examples."""
    value = json.loads(params).get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _switches(params: str, per: Any) -> dict[str, Any]:
    solved = {"per": per} if isinstance(per, str) and per else {}
    return solved | {k: v for k, v in json.loads(params).items() if isinstance(v, bool | str)}


def _label(title: str, switches: dict[str, Any]) -> str:
    if not switches:
        return title
    words = (k if v is True else f"no {k}" if v is False else f"{k} {v}" for k, v in sorted(switches.items()))
    return f"{title} ({', '.join(words).replace('_', ' ')})"
