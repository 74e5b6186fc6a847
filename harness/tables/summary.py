"""From rows to one line per cell and metric."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.store.files import write_whole
from harness.tables.stats import paired_difference, stderr

COLUMNS = (
    "model task method params ratio compression bytes_per_token transfers_elements metric higher_is_better value "
    "stderr n delta_dense delta_stderr delta_ci_low delta_ci_high first_difference same_output delta_nll active "
    "prompt_tokens new_tokens seconds cell run"
).split()
KEYS = ["task", "cell", "metric"]
MEANS = ["bytes_per_token", "transfers_elements", "prompt_tokens", "new_tokens", "seconds", "active", "delta_nll"]


def summarise(
    rows: pd.DataFrame, dense_cell: str | None, aggregates: Mapping[tuple[str, str, str], float]
) -> pd.DataFrame:
    """One line per (task, cell, metric), in the order the rows came.

    `aggregates` gives lm-eval's own value by (task, cell, metric) where a metric is not a mean of examples.
    """
    dense = rows[rows["cell"] == dense_cell].set_index(["task", "metric", "example"])["value"]
    moved = rows[rows["cell"] == dense_cell].groupby("task")["transfers_elements"].mean()
    lines = []
    for key, group in rows.groupby(KEYS, sort=False):
        task, cell, metric = (str(part) for part in key)
        own, of_dense = (aggregates.get((task, name, metric)) for name in (cell, str(dense_cell)))
        line = _line(group, dense, moved.get(task, math.nan))
        lines.append(line | (_difference(group, dense) if own is None else _aggregated(own, of_dense)))
    return pd.DataFrame(lines, columns=list(COLUMNS))


def aggregate(results: Path) -> pd.DataFrame:
    """Join the summaries of all runs of a results folder into its summary.csv.

    One that a crash tore is left out: its own run writes it anew.
    """
    found = [_read_whole(file) for file in sorted(results.glob("*/summary.csv"))]
    whole = pd.concat([f for f in found if len(f)], ignore_index=True) if found else pd.DataFrame(columns=list(COLUMNS))
    write_whole(results / "summary.csv", whole.to_csv(index=False))
    return whole


def _read_whole(file: Path) -> pd.DataFrame:
    try:
        found = pd.read_csv(file)
    except ValueError:  # pandas' own errors of parsing, and text that is none
        return pd.DataFrame()
    torn = list(found.columns) != COLUMNS or not file.read_bytes().endswith(b"\n")
    return pd.DataFrame() if torn else found


def _line(group: pd.DataFrame, dense: pd.Series[Any], dense_moved: float) -> dict[str, Any]:
    first = group.iloc[0]
    line = {name: first[name] for name in ("model", "task", "method", "params", "ratio", "metric", "cell", "run")}
    line |= {name: group[name].mean() for name in MEANS}
    moved = line["transfers_elements"]
    line |= {
        "higher_is_better": bool(first["higher_is_better"]),
        "compression": (group["compression"].mean() if math.isnan(dense_moved) else dense_moved / moved),
        "n": len(group),
        "first_difference": group["first_difference"].mean(),
        "same_output": group["first_difference"].isna().mean() if len(dense) else math.nan,
        "value": group["value"].mean(),
        "stderr": stderr(group["value"].to_numpy()),
    }
    return line


def _aggregated(value: float, dense: float | None) -> dict[str, float]:
    """A metric that is no mean of examples has no error bars here."""
    return {"value": value, "stderr": math.nan, "delta_dense": math.nan if dense is None else value - dense}


def _difference(group: pd.DataFrame, dense: pd.Series[Any]) -> dict[str, float]:
    """Paired with dense on the examples that both have."""
    keys = list(zip(group["task"], group["metric"], group["example"], strict=True))
    there = np.array([key in dense.index for key in keys], bool)
    if not there.any():
        return {}
    paired = [key for key, is_there in zip(keys, there, strict=True) if is_there]
    found = paired_difference(group["value"].to_numpy()[there], dense.loc[paired].to_numpy())
    names = ("delta_dense", "delta_stderr", "delta_ci_low", "delta_ci_high")
    return dict(zip(names, (found.mean, found.stderr, found.low, found.high), strict=True))
