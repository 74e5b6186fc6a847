"""Reads one finished run of a results folder, and says what makes two runs comparable."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError
from harness.store.description import FILE, Description, as_mapping, read_description
from harness.store.notes import Notes
from harness.tables.columns import ROWS, names
from harness.tables.read import check_rows, read_rows, read_summary
from harness.text import printable


@dataclass(frozen=True)
class Run:
    """Holds what a folder of results/ holds: run.json, and summary.csv with one line per cell and metric.

    `lacking` names the columns that its tables, written by another version, do not have; `unused` says in sentences
    what they and run.json have beyond what this version knows.
    """

    folder: Path
    about: Description
    summary: pd.DataFrame
    lacking: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the folder's name."""
        return self.folder.name

    @property
    def protocol(self) -> int:
        """Return the number of its protocol: scores of different protocols are not comparable."""
        return self.about.protocol or 0

    @property
    def methods(self) -> dict[str, dict[str, Any]]:
        """Return what the methods of its cells say of themselves; nothing in a run of an older version."""
        return {name: as_mapping(facts) for name, facts in as_mapping(self.about.methods).items()}

    @property
    def examples(self) -> tuple[str, ...]:
        """Return the ids of the examples it asked for."""
        return tuple(self.about.examples)

    @property
    def data(self) -> str:
        """Return where its examples came from: hub, local, embedded, lm_eval."""
        kind = self.about.part("data").get("kind", "auto")
        parts = self.name.rsplit("-", 2)
        return parts[1] if kind == "auto" and len(parts) == 3 else str(kind)

    @property
    def question(self) -> str:
        """Return a text that is equal for runs that asked the same model the same: their cells share a curve."""
        about = self.about
        asked = [about.config.get("model"), about.config.get("task"), self.data, self.examples]
        return json.dumps([*asked, about.model_fingerprint, about.data_fingerprint], sort_keys=True)

    def task_arguments(self, task: str) -> dict[str, Any]:
        """Return what a task was built with, where it is not what its file says."""
        return self.about.part("data", "arguments", task) | self.about.part("task", "arguments")

    def rows(self, columns: Sequence[str]) -> pd.DataFrame:
        """Read columns of rows.parquet, a line per cell, example and metric; those it lacks are left out."""
        file = self.folder / "rows.parquet"
        return read_rows(file, columns) if file.exists() else pd.DataFrame(columns=list(columns))


def read_run(folder: Path) -> Run | str:
    """Read the run in a folder, or say in a sentence why it cannot be reported."""
    name, notes = printable(folder.name), Notes()
    if name != folder.name:
        return f"{name} is left out: the folder's name holds characters that steer a terminal, or are no text"
    if not (folder / "summary.csv").is_symlink() and not (folder / "summary.csv").exists():
        return f"{name} is unfinished (no summary.csv) and left out: the same `harness run` goes on from there"
    about = read_description(folder, notes)
    if about.faults:
        return f"{name} is left out: {FILE} cannot be used, {about.faults[0]}"
    if about.description.protocol is None or not about.description.config:
        return f"{name} is left out: its {FILE} is torn, or names no protocol and configuration"
    try:
        return _with_tables(folder, about.description, notes)
    except InputError as error:
        return f"{name} is left out: {error}"


def _with_tables(folder: Path, about: Description, notes: Notes) -> Run | str:
    """Read the tables of a run. Raises InputError for one that cannot be read."""
    summary = read_summary(folder / "summary.csv")
    there = check_rows(folder / "rows.parquet")
    if summary.table.empty:
        return f"{folder.name} is left out: it holds no scores"
    notes.pass_over(folder / "summary.csv", summary.more)
    missing = [] if there is None else [name for name in names(ROWS) if name not in there]
    lacking = tuple(dict.fromkeys([*summary.lacking, *missing]))
    return Run(folder, about, summary.table, lacking, tuple(notes.sentences()))
