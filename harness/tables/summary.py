"""Makes one line per cell and metric of the rows, and one table of all runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from harness.errors import InputError
from harness.store.files import write_whole
from harness.tables.column import Averaging
from harness.tables.columns import SUMMARY, names
from harness.tables.read import read_summary
from harness.tables.stats import paired_difference, stderr

KEYS = ["task", "cell", "metric"]
COSTS = {"compression": "transfers_elements", "memory_compression": "held_bytes"}
"""The cost that each column of the summary compares with dense's."""


class Joined(NamedTuple):
    """Holds the table of all runs, and a sentence on each summary that is left out of it."""

    table: pd.DataFrame
    left_out: list[str]


def summarise(
    rows: pd.DataFrame, dense_cell: str | None, aggregates: Mapping[tuple[str, str, str], float]
) -> pd.DataFrame:
    """Make one line per (task, cell, metric), in the order the rows came.

    `aggregates` gives lm-eval's own value by (task, cell, metric) where a metric is not a mean of examples.
    """
    dense_rows = rows[rows["cell"] == dense_cell]
    dense = dense_rows.set_index(["task", "metric", "example"])["value"]
    costs = {str(name): of_task for name, of_task in dense_rows.groupby("task")[list(COSTS.values())].mean().iterrows()}
    lines = []
    for key, group in rows.groupby(KEYS, sort=False):
        task, cell, metric = (str(part) for part in key)
        own, of_dense = (aggregates.get((task, name, metric)) for name in (cell, str(dense_cell)))
        line = _averages(group) | _computed(group, len(dense) > 0)
        line |= _compressions(group, dense_rows[dense_rows["task"] == task], costs.get(task))
        if own is not None:
            line |= {"value": own, "stderr": math.nan}
        if cell != dense_cell:
            line |= _paired(group, dense) if own is None else _difference(own, of_dense)
        lines.append(line)
    return pd.DataFrame(lines, columns=names(SUMMARY))


def join_summaries(results: Path) -> Joined:
    """Write the summaries of all runs of a results folder into its summary.csv, by column names.

    A run of another version stands in it with what it has. A torn one is left out: its own run writes it anew.
    """
    found, left_out = [], []
    for file in sorted(results.glob("*/summary.csv")):
        try:
            found.append(read_summary(file).table)
        except InputError as error:
            left_out.append(f"left out of {results / 'summary.csv'}: {error}")
    filled = [table for table in found if len(table)]
    whole = pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=names(SUMMARY))
    write_whole(results / "summary.csv", whole.to_csv(index=False))
    return Joined(whole, left_out)


def _averages(group: pd.DataFrame) -> dict[str, Any]:
    """Take what is the same in all rows from the first, and means and shares over the rows that have a value."""
    first = group.iloc[0]
    line = {column.name: first[column.name] for column in SUMMARY if column.averaging is Averaging.SAME}
    averaged = (column.name for column in SUMMARY if column.averaging in (Averaging.MEAN, Averaging.SHARE))
    return line | {name: group[name].mean() for name in averaged}


def _compressions(group: pd.DataFrame, dense: pd.DataFrame, means: pd.Series[Any] | None) -> dict[str, float]:
    """Divide dense's mean cost by the cell's own; without dense, average the examples' compressions.

    `means` are dense's, over all its rows of the task. Where an example has no measurement, dense's is left out too.
    """
    found: dict[str, float] = {}
    for name, cost in COSTS.items():
        known = group[cost].notna()
        if means is None:
            found[name] = group[name].mean()
            continue
        same = dense["example"].isin(group.loc[known, "example"])
        found[name] = (means[cost] if known.all() else dense.loc[same, cost].mean()) / group[cost].mean()
    return found


def _computed(group: pd.DataFrame, has_dense: bool) -> dict[str, Any]:
    """Compute what is no mean of a column of rows."""
    return {
        "stderr": stderr(group["value"].to_numpy()),
        "n": len(group),
        "same_output": group["first_difference"].isna().mean() if has_dense else math.nan,
    }


def _difference(value: float, dense: float | None) -> dict[str, float]:
    """Return the difference of a metric that is no mean of examples: it has no error bars here."""
    return {} if dense is None else {"delta_dense": value - dense}


def _paired(group: pd.DataFrame, dense: pd.Series[Any]) -> dict[str, float]:
    """Compare with dense on the examples that both have."""
    keys = list(zip(group["task"], group["metric"], group["example"], strict=True))
    there = np.array([key in dense.index for key in keys], bool)
    if not there.any():
        return {}
    paired = [key for key, is_there in zip(keys, there, strict=True) if is_there]
    found = paired_difference(group["value"].to_numpy()[there], dense.loc[paired].to_numpy())
    return {
        "delta_dense": found.mean,
        "delta_stderr": found.stderr,
        "delta_ci_low": found.low,
        "delta_ci_high": found.high,
        "delta_p": found.p_value,
    }
