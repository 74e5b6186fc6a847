"""Loads and checks a results folder: what every table and figure starts from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from harness.errors import InputError
from harness.report.audit import audit
from harness.report.methods import notes, with_facts
from harness.report.names import DENSE, task_order
from harness.report.reconcile import reconcile
from harness.report.runs import Run, read_run
from harness.report.variants import label_variants
from harness.report.versions import mixed_versions
from harness.store.description import find_runs
from harness.text import printable

CELL = ["model", "data", "task", "metric", "cell"]


class Panel(NamedTuple):
    """Names what is compared in one plot or table: all cells of a model on a task, by one metric."""

    model: str
    data: str
    task: str
    metric: str


@dataclass(frozen=True)
class Results:
    """Holds the cells of all comparable runs.

    `cells` has the columns of summary.csv and: data (where rows came from), variant (label of its curve), note (why a
    line has no numbers, or ""), element_bytes. `left_out` says in sentences which runs cannot be reported, `notices`
    that and all else that a reader should know.
    """

    runs: tuple[Run, ...]
    cells: pd.DataFrame
    notices: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def panels(self) -> Iterator[tuple[Panel, pd.DataFrame]]:
        """Yield the cells of each model, data and task under each metric, the least compressed first."""
        groups = {Panel(*map(str, key)): cells for key, cells in self.cells.groupby(CELL[:4], sort=False)}
        for panel in sorted(groups, key=lambda p: (p.model, p.data, task_order(p.task))):
            yield panel, groups[panel].sort_values(["method", "compression"], kind="stable")

    def rows(self, panel: Panel, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
        """Read rows of a panel, a line per cell and example: of valid cells, each from the run that is reported.

        A run of another version whose rows lack one of `columns` has none; one that lacks an `optional` one has NaN.
        """
        cells = _of_panel(self.cells, panel)
        cells = cells[cells["note"] == ""]
        found = []
        for run in self.runs:
            mine = cells.loc[cells["run"] == run.name, "cell"]
            if len(mine) and not set(columns) & set(run.lacking):
                rows = run.rows(list(dict.fromkeys([*columns, *optional, "cell", "task", "metric"])))
                wanted = rows["cell"].isin(mine) & (rows["task"] == panel.task) & (rows["metric"] == panel.metric)
                found.append(rows[wanted].astype({"cell": str}))
        return pd.concat(found, ignore_index=True) if found else pd.DataFrame(columns=[*columns, *optional])

    def behind(self, panels: Sequence[Panel]) -> list[Run]:
        """Find the runs whose cells are in some panels."""
        names = {str(name) for panel in panels for name in _of_panel(self.cells, panel)["run"]}
        return [run for run in self.runs if run.name in names]

    def only(self, models: Sequence[str] = (), tasks: Sequence[str] = ()) -> Results:
        """Select the part on some models and tasks; empty means all. Raises InputError for a name without results."""
        cells = self.cells
        for column, wanted in (("model", models), ("task", tasks)):
            there = set(cells[column])
            for name in wanted:
                if name not in there:
                    raise InputError(f"no results of {column} '{name}' here: there are {', '.join(sorted(there))}")
            cells = cells[cells[column].isin(wanted)] if wanted else cells
        if cells.empty:
            raise InputError(f"no results of {', '.join(models)} on {', '.join(tasks)} here")
        return replace(self, cells=cells)


def load(root: Path) -> Results:
    """Load every run below a results folder, or the one run it is. Raises InputError if nothing can be reported."""
    if not root.is_dir():
        raise InputError(f"{root} is no folder: `harness run experiment=quickstart` makes results/")
    folders = find_runs(root)
    if not folders:
        raise InputError(f"no run found in {root}: `harness run experiment=quickstart results={root}` makes some")
    read = [read_run(folder) for folder in folders]
    runs = [run for run in read if isinstance(run, Run)]
    left_out = tuple(printable(sentence) for sentence in read if isinstance(sentence, str))
    if not runs:
        raise InputError(f"nothing to report in {root}: {'; '.join(left_out)}")
    comparable = reconcile(runs)
    cells = _cells(comparable.runs)
    notices = [*left_out, *comparable.notices, *_version_notices(comparable.runs)]
    notices += [*_gap_notices(cells), *_method_notices(cells)]
    return Results(tuple(comparable.runs), cells, tuple(map(printable, notices)), left_out)


def _cells(runs: Sequence[Run]) -> pd.DataFrame:
    frames = [audit(run).assign(data=run.data, run=run.name) for run in runs]
    cells = pd.concat(frames, ignore_index=True).drop_duplicates(CELL, keep="first").reset_index(drop=True)
    cells = with_facts(cells, {name: facts for run in runs for name, facts in run.methods.items()})
    cells["element_bytes"] = cells["bytes_per_token"] / cells["transfers_elements"]
    groups = [label_variants(group) for _, group in cells.groupby(CELL[:3], sort=False)]
    cells["variant"] = pd.concat(groups)
    return cells


def _of_panel(cells: pd.DataFrame, panel: Panel) -> pd.DataFrame:
    for column, value in panel._asdict().items():
        cells = cells[cells[column] == value]
    return cells


def _version_notices(runs: Sequence[Run]) -> Iterator[str]:
    """Say what of the runs comes from another version than the rest."""
    for run in runs:
        yield from mixed_versions(run)
        if run.lacking:
            yield (
                f"{run.name} was written by another version, without {', '.join(run.lacking)}: these are empty here; "
                "the same `harness run` adds them"
            )
        yield from run.unused


def _method_notices(cells: pd.DataFrame) -> list[str]:
    """Say of the methods that are shown how they differ from their publication."""
    shown = set(cells["method"])
    return [f"{facts['title']}: {facts['note']}" for name, facts in notes().items() if name in shown]


def _gap_notices(cells: pd.DataFrame) -> list[str]:
    gaps = cells[cells["note"] != ""]
    sentences = [
        f"{line['model']} on {line['task']}, {line['cell']} ({line['metric']}) is shown as a gap: {line['note']}"
        for line in gaps.to_dict("records")
    ]
    for (model, _, task), group in cells.groupby(CELL[:3], sort=False):
        if not (group["method"] == DENSE).any():
            sentences.append(
                f"{model} on {task} has no dense cell: differences to dense are gaps (add dense to methods=[...])"
            )
        fewer = group[group["n"] < group["n"].max()].drop_duplicates("cell")
        sentences += [
            f"{model} on {task}, {line['cell']} has {line['n']} of {group['n'].max()} examples: compare its paired "
            "difference, not its score"
            for line in fewer.to_dict("records")
        ]
    return sentences
