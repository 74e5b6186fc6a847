"""Collects what the page shows, as plain data."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pandas as pd

from harness.report.drawing.axes import dense_bytes
from harness.report.drawing.style import look
from harness.report.load import Panel, Results
from harness.report.names import metric_name, task_name
from harness.report.page.texts import sample
from harness.report.tables import variant_order
from harness.tables.marks import LIKE_DENSE, like_dense
from harness.tables.text import decided, difference, digits, held, knobs, precision, reached, setting, with_error

CHARACTERS = 6_000_000
"""Of all texts on the page: with Plotly's 5 MB the file stays below 15 MB at 1.5 bytes per character."""
SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross"} | {
    "X": "x", "*": "star", ">": "triangle-right", "<": "triangle-left", "p": "pentagon", "h": "hexagon",
    "8": "octagon", "d": "diamond-tall", "_": "line-ew-open",
}  # fmt: skip
"""Plotly's names of matplotlib's markers."""
DASHES = {"-": "solid", "--": "dash", ":": "dot", "-.": "dashdot"}


def content(results: Results, published: pd.DataFrame | None, verdicts: pd.DataFrame | None) -> dict[str, Any]:
    """Collect panels with cells, published points and verdicts; sampled examples by subject (model, data, task)."""
    panels = list(results.panels())
    subjects: dict[str, list[Panel]] = {}
    for panel, _ in panels:
        subjects.setdefault(_subject(panel), []).append(panel)
    budget = CHARACTERS // max(1, len(subjects))
    judged = _judged(verdicts)
    samples = {name: sample(results, mine, budget) for name, mine in subjects.items()}
    return {
        "notices": list(dict.fromkeys([*results.notices, *(said for one in samples.values() for said in one.unused)])),
        "panels": [_panel(panel, cells, published, judged) for panel, cells in panels],
        "subjects": {
            name: {"examples": [asdict(one) for one in found.examples], "of": found.of}
            for name, found in samples.items()
        },
    }


def _subject(panel: Panel) -> str:
    return "\n".join(panel[:3])


def _panel(panel: Panel, cells: pd.DataFrame, published: pd.DataFrame | None, judged: dict[Any, str]) -> dict[str, Any]:
    decimals = digits(cells["value"])
    rank = {variant: i for i, variant in enumerate(variant_order(cells))}
    marked = cells.assign(like_dense=like_dense(cells))
    lines = sorted(marked.to_dict("records"), key=lambda line: (rank[line["variant"]], line["compression"]))
    return {
        **panel._asdict(),
        "subject": _subject(panel),
        "title": f"{panel.model} on {task_name(panel.task)} ({panel.data})",
        "task_name": task_name(panel.task),
        "metric_name": metric_name(panel.metric),
        "higher": bool(cells["higher_is_better"].iloc[0]),
        "decided": decided(cells),
        "dense_bytes": dense_bytes(cells),
        "precision": precision(cells),
        "cells": [_cell(line, decimals, judged.get((line["run"], line["cell"], *panel[2:]), "")) for line in lines],
        "published": _published(panel, cells, published),
    }


def _cell(line: dict[Any, Any], decimals: int, verdict: str) -> dict[str, Any]:
    style = look(line)
    return {
        "cell": str(line["cell"]),
        "method": str(line["method"]),
        "variant": str(line["variant"]),
        "setting": setting(line["params"]),
        "x": _number(line["bytes_per_token"]),
        "memory": held(line),
        "ratio": reached(line) + (", per example" if line["per"] == "example" else ""),
        "value": _number(line["value"]),
        "stderr": _number(line["stderr"]),
        "score": with_error(line["value"], line["stderr"], decimals),
        "difference": difference(line, decimals) + (f" {LIKE_DENSE}" if line["like_dense"] else ""),
        "n": int(line["n"]),
        "note": str(line["note"]),
        "verdict": verdict,
        "color": style.color,
        "symbol": SYMBOLS[style.marker],
        "dash": DASHES[style.line],
    }


def _judged(verdicts: pd.DataFrame | None) -> dict[Any, str]:
    if verdicts is None:
        return {}
    lines = verdicts.to_dict("records")
    return {(v["run"], v["cell"], v["task"], v["metric"]): v["verdict"] + _reason(v["reason"]) for v in lines}


def _reason(reason: str) -> str:
    return f": {reason}" if reason else ""


def _published(panel: Panel, cells: pd.DataFrame, published: pd.DataFrame | None) -> list[dict[str, Any]]:
    if published is None:
        return []
    mine = published[(published["model"] == panel.model) & (published["task"] == panel.task)]
    dense = dense_bytes(cells)
    return [
        {"method": p["method"], "x": dense / p["compression"], "value": p["score"], "color": look(p).color}
        | {"symbol": SYMBOLS[look(p).marker], "setting": _setting(p)}
        for p in mine[mine["metric"] == panel.metric].to_dict("records")
    ]


def _setting(point: dict[Any, Any]) -> str:
    return knobs({name: int(point[name]) for name in ("k", "r") if not math.isnan(point[name])})


def _number(value: float) -> float | None:
    """Round to 6 digits; None for what is no number, which JSON cannot hold."""
    return float(f"{value:.6g}") if math.isfinite(value) else None
