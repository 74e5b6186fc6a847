"""Checks that a line of summary.csv says what its rows say; if not, its numbers become gaps with a note."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from harness.report.names import DENSE
from harness.report.runs import Run

NUMBERS = ["value", "stderr", "delta_dense", "delta_stderr", "delta_ci_low", "delta_ci_high", "delta_p"]
KEYS = ["task", "cell", "metric"]
ROUNDING = 1e-6


def audit(run: Run) -> pd.DataFrame:
    """Return the summary with a column `note`, "" where nothing is wrong; a wrong line loses its numbers only."""
    cells = run.summary.copy()
    rows = run.rows([*KEYS, "example", "value"])
    cells["note"] = _gaps(cells, rows) if len(rows) else ""
    _blank(cells, cells["note"] != "")
    bad = cells["value"].isin([np.inf, -np.inf, np.nan]) & (cells["note"] == "")
    cells.loc[bad, "note"] = "the score is not a number"
    _blank(cells, bad)
    return _without_dense(cells)


def _blank(cells: pd.DataFrame, where: pd.Series[bool]) -> None:
    cells.loc[where, NUMBERS] = np.nan


def _gaps(cells: pd.DataFrame, rows: pd.DataFrame) -> pd.Series[str]:
    """Write a note per line: scores that are no numbers, examples counted twice, a mean that rows do not give."""
    rows = rows.assign(invalid=~np.isfinite(rows["value"].astype(float)))
    grouped = rows.groupby(KEYS, observed=True)
    found = grouped.agg(rows=("value", "size"), invalid=("invalid", "sum"), mean=("value", "mean")).reset_index()
    found["distinct"] = grouped["example"].nunique().to_numpy()
    found[KEYS] = found[KEYS].astype(str)
    merged = cells[[*KEYS, "value", "stderr", "n"]].merge(found, on=KEYS, how="left")
    return pd.Series([_note(line) for line in merged.to_dict("records")], index=cells.index, dtype=object)


def _note(line: Mapping[Any, Any]) -> str:
    if np.isnan(line["rows"]):
        return "no rows of this cell in rows.parquet"
    if line["invalid"]:
        return f"{line['invalid']:.0f} of {line['rows']:.0f} scores are not numbers"
    if line["distinct"] < line["rows"]:
        return f"{line['rows'] - line['distinct']:.0f} examples are counted twice"
    # A metric that is no mean of examples has no standard error in the summary: nothing to compare.
    is_mean = np.isfinite(line["stderr"]) or line["n"] == 1
    if is_mean and abs(line["value"] - line["mean"]) > ROUNDING * max(1, abs(line["mean"])):
        return "summary.csv and rows.parquet disagree: run the same sweep again"
    return ""


def _without_dense(cells: pd.DataFrame) -> pd.DataFrame:
    """Blank the differences to a dense cell that is a gap."""
    dense = cells[(cells["method"] == DENSE) & (cells["note"] != "")]
    broken = {(line["task"], line["metric"]) for line in dense.to_dict("records")}
    mine = pd.Series(
        [pair in broken for pair in zip(cells["task"], cells["metric"], strict=True)], index=cells.index, dtype=bool
    )
    cells.loc[mine, [name for name in NUMBERS if name.startswith("delta")]] = np.nan
    return cells
