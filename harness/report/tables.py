"""Makes tables per model and task: a line per method, a column per compression ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from harness.report.load import Panel, Results
from harness.report.methods import CONTROLS, order
from harness.report.names import DENSE, metric_name, task_name
from harness.report.ratios import TARGETS, nearest
from harness.tables.marks import INTERVAL, MEANING, best, like_dense
from harness.tables.text import EXACT, decided, difference, digits, with_error

LEGEND = (
    f"Score ± standard error; below it, compared with dense: {INTERVAL}. {MEANING}. **Bold**: the best of a column, "
    "where one is told apart from it, and all that are not (Holm over all pairs of the column; no dense, no control). "
    "@: the compression of the nearest setting, where it is not the column's."
)


@dataclass(frozen=True)
class Entry:
    """Holds one place of a table; `score` is "-" where nothing ran."""

    score: str = "-"
    difference: str = ""
    best: bool = False
    like_dense: bool = False


@dataclass(frozen=True)
class Table:
    """Holds a title, the names of the columns, and lines of (method, an entry per column)."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[tuple[str, tuple[Entry, ...]], ...]


def score_tables(results: Results) -> list[Table]:
    """Make one table per model, task and metric."""
    return [_table(results, panel, cells) for panel, cells in results.panels()]


def panel_title(panel: Panel, cells: pd.DataFrame) -> str:
    """Write a title: "smollm2 on SQuAD (embedded): Accuracy, higher is better, n = 6"."""
    arrow = "higher" if bool(cells["higher_is_better"].iloc[0]) else "lower"
    counts = sorted({int(n) for n in cells["n"]})
    examples = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    where = f"{panel.model} on {task_name(panel.task)} ({panel.data})"
    return f"{where}: {metric_name(panel.metric)}, {arrow} is better, n = {examples}{decided(cells)}"


def variant_order(cells: pd.DataFrame) -> list[str]:
    """List variants as they are drawn and listed: dense first, controls last."""
    first = cells.drop_duplicates("variant").to_dict("records")
    return [str(line["variant"]) for line in sorted(first, key=lambda line: (order(line), str(line["variant"])))]


def tidy(results: Results) -> pd.DataFrame:
    """Return every cell with its numbers and, in `column`, the ratio that it stands for in the tables."""
    cells = results.cells.copy()
    cells["column"] = math.nan
    for _, panel in results.panels():
        for line in _chosen(panel).values():
            for target, cell in zip(TARGETS, line, strict=True):
                if cell is not None:
                    cells.loc[cell.name, "column"] = target
    return cells


def _chosen(cells: pd.DataFrame) -> dict[str, list[pd.Series[Any] | None]]:
    """Choose per variant the cell of each column; dense stands at 1 only."""
    groups = {variant: cells[cells["variant"] == variant] for variant in variant_order(cells)}
    return {
        variant: [
            nearest(group, target) if target == 1 or group["method"].iloc[0] != DENSE else None for target in TARGETS
        ]
        for variant, group in groups.items()
    }


def _table(results: Results, panel: Panel, cells: pd.DataFrame) -> Table:
    chosen, decimals = _chosen(cells.assign(like_dense=like_dense(cells))), digits(cells["value"])
    scores = _scores(results, panel, chosen)
    best_of = [_best(column, scores) for column in zip(*chosen.values(), strict=True)]
    lines = tuple(
        (variant, tuple(_entry(*place, decimals) for place in zip(line, TARGETS, best_of, strict=True)))
        for variant, line in chosen.items()
    )
    return Table(panel_title(panel, cells), tuple(f"{target:g}x" for target in TARGETS), lines)


def _scores(
    results: Results, panel: Panel, chosen: Mapping[str, Sequence[pd.Series[Any] | None]]
) -> dict[str, pd.Series[Any]]:
    """Read the scores by example of all rivals: cells that could be used, so neither dense nor controls."""
    rivals = {str(cell["cell"]) for line in chosen.values() for cell in line if cell is not None and _rival(cell)}
    rows = results.rows(panel, ["example", "cell", "value"])
    return {str(cell): own.set_index("example")["value"] for cell, own in rows.groupby("cell") if cell in rivals}


def _rival(cell: pd.Series[Any]) -> bool:
    """Say whether a cell may be marked as the best: dense and controls may not."""
    return bool(cell["family"] != CONTROLS)


def _best(column: Sequence[pd.Series[Any] | None], scores: Mapping[str, pd.Series[Any]]) -> set[str]:
    """Find the cells of a column that may be called its best."""
    there = [cell for cell in column if cell is not None and str(cell["cell"]) in scores]
    higher = bool(there[0]["higher_is_better"]) if there else True
    return best({str(cell["cell"]): scores[str(cell["cell"])] for cell in there}, higher)


def _entry(cell: pd.Series[Any] | None, target: float, best_of: set[str], decimals: int) -> Entry:
    if cell is None:
        return Entry()
    if cell["note"]:
        return Entry(f"gap: {cell['note']}")
    away = abs(cell["compression"] / target - 1) > EXACT
    score = with_error(cell["value"], cell["stderr"], decimals) + (f" @{cell['compression']:.2f}x" if away else "")
    return Entry(score, difference(cell.to_dict(), decimals), str(cell["cell"]) in best_of, bool(cell["like_dense"]))
