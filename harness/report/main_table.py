"""Makes the paper's main table: the largest model of each family at 1/2 and 1/8 of dense's transfers."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

import pandas as pd

from harness.report.load import Panel, Results
from harness.report.names import DENSE, metric_name, task_name
from harness.report.ratios import Value, interpolated, nearest_value
from harness.report.tables import variant_order
from harness.tables.text import EXACT, digits, with_error

RATIOS = (2.0, 8.0)
SIZE = re.compile(r"^(?P<family>.*?)-?(?P<size>\d+(\.\d+)?)(?P<unit>[bm])(?=-|$)", re.IGNORECASE)


def largest_models(models: Iterable[str]) -> list[str]:
    """Find the largest model of each family by sizes in names such as llama-2-13b; a name without one stands alone."""
    largest: dict[str, tuple[float, str]] = {}
    for model in models:
        found = SIZE.match(model)
        family = found["family"] if found else model
        size = float(found["size"]) * (1e9 if found["unit"].lower() == "b" else 1e6) if found else 0.0
        largest[family] = max(largest.get(family, (0.0, "")), (size, model))
    return [model for _, model in largest.values()]


def main_table(results: Results) -> pd.DataFrame:
    """Make a line per model, task, method and ratio: nearest setting, its compression, interpolated value."""
    chosen = set(largest_models(results.cells["model"].unique()))
    lines = [line for panel, cells in results.panels() if panel.model in chosen for line in _panel_lines(panel, cells)]
    return pd.DataFrame(lines)


def by_task(main: pd.DataFrame) -> pd.DataFrame:
    """Arrange the main table for print: a column per task; a model, method and ratio has a line for each value."""
    away = (main["compression"] / main["ratio"] - 1).abs() > EXACT
    share = " @ 1/" + main["compression"].map("{:.2f}".format)
    near = main["nearest setting"] + share.where(away, "")
    entries = {"nearest setting": near, "interpolated": main["interpolated"]}
    lines = pd.concat([main.assign(value=value, entry=entry) for value, entry in entries.items()]).sort_index(
        kind="stable"
    )
    lines["column"] = lines["task"] + ": " + lines["metric"]
    lines["ratio"] = "1/" + lines["ratio"].map("{:g}".format)
    keys = ["model", "data", "method", "ratio", "value"]
    order = pd.MultiIndex.from_frame(lines[keys].drop_duplicates())
    wide = lines.pivot(index=keys, columns="column", values="entry")
    return wide.reindex(index=order, columns=lines["column"].unique()).fillna("-").reset_index()


def _panel_lines(panel: Panel, cells: pd.DataFrame) -> list[dict[str, Any]]:
    lines = []
    for variant in variant_order(cells):
        group = cells[cells["variant"] == variant]
        is_dense = group["method"].iloc[0] == DENSE
        for ratio in (1.0,) if is_dense else RATIOS:
            lines.append({**_labels(panel, variant, ratio), **_values(group, ratio, digits(cells["value"]))})
    return lines


def _labels(panel: Panel, variant: str, ratio: float) -> dict[str, Any]:
    named = {"model": panel.model, "data": panel.data, "task": task_name(panel.task)}
    return named | {"metric": metric_name(panel.metric), "method": variant, "ratio": ratio}


def _values(group: pd.DataFrame, ratio: float, decimals: int) -> dict[str, Any]:
    valid = group[group["value"].notna()]
    near, between = nearest_value(valid, ratio), interpolated(valid, ratio)
    return {
        "nearest setting": _text(near, decimals) if near else "-",
        "compression": near.compression if near else math.nan,
        "interpolated": _text(between, decimals) if between else "-",
    }


def _text(value: Value, decimals: int) -> str:
    return with_error(value.value, value.stderr, decimals)
