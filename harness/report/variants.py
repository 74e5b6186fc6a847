"""Curves of a figure and rows of a table: a method, told apart by its switches where several settings of them ran."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd

from harness.report.names import method_name


def label_variants(cells: pd.DataFrame) -> pd.Series[str]:
    """Per cell "SparQ", or "SparQ (no reallocate)" where `reallocate` differs between cells of its method."""
    switches = [_switches(params) for params in cells["params"]]
    differing: dict[str, dict[str, set[str]]] = {}
    for method, told in zip(cells["method"], switches, strict=True):
        for knob, value in told.items():
            differing.setdefault(method, {}).setdefault(knob, set()).add(repr(value))
    labels = [
        _label(method, {k: v for k, v in told.items() if len(differing[method][k]) > 1})
        for method, told in zip(cells["method"], switches, strict=True)
    ]
    return pd.Series(labels, index=cells.index, dtype=object)


def knob(params: str, name: str) -> float | None:
    """A numeric knob of a cell, if it has it."""
    value = json.loads(params).get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _switches(params: str) -> dict[str, Any]:
    return {k: v for k, v in json.loads(params).items() if isinstance(v, bool | str)}


def _label(method: str, switches: dict[str, Any]) -> str:
    if not switches:
        return method_name(method)
    told = (k if v is True else f"no {k}" if v is False else f"{k} {v}" for k, v in sorted(switches.items()))
    return f"{method_name(method)} ({', '.join(told).replace('_', ' ')})"
