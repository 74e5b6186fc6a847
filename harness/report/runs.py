"""Reads one finished run of a results folder, and says what makes two runs comparable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError
from harness.store.files import as_mapping, read_json
from harness.tables.columns import ROWS, names
from harness.tables.read import read_rows, read_summary, row_columns


@dataclass(frozen=True)
class Run:
    """Holds what a folder of results/ holds: run.json, and summary.csv with one line per cell and metric.

    `lacking` names the columns that its tables, written by another version, do not have.
    """

    folder: Path
    info: Mapping[str, Any]
    summary: pd.DataFrame
    lacking: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the folder's name."""
        return self.folder.name

    @property
    def protocol(self) -> int:
        """Return the number of its protocol: scores of different protocols are not comparable."""
        return int(self.info["protocol"])

    @property
    def methods(self) -> dict[str, Any]:
        """Return what the methods of its cells say of themselves; nothing in a run of an older version."""
        return as_mapping(self.info.get("methods"))

    @property
    def examples(self) -> tuple[str, ...]:
        """Return the ids of the examples it asked for."""
        return tuple(str(example) for example in self.info.get("examples") or ())

    @property
    def data(self) -> str:
        """Return where its examples came from: hub, local, embedded, lm_eval."""
        kind = as_mapping(self._config.get("data")).get("kind", "auto")
        parts = self.name.rsplit("-", 2)
        return parts[1] if kind == "auto" and len(parts) == 3 else str(kind)

    @property
    def question(self) -> str:
        """Return a text that is equal for runs that asked the same model the same: their cells share a curve."""
        asked = [self._config.get("model"), self._config.get("task"), self.data, self.examples]
        asked += [self.info.get(name) for name in ("model_fingerprint", "data_fingerprint")]
        return json.dumps(asked, sort_keys=True)

    def task_arguments(self, task: str) -> dict[str, Any]:
        """Return what a task was built with, where it is not what its file says."""
        of_data = as_mapping(as_mapping(self._config.get("data")).get("arguments"))
        return as_mapping(of_data.get(task)) | as_mapping(as_mapping(self._config.get("task")).get("arguments"))

    def rows(self, columns: Sequence[str]) -> pd.DataFrame:
        """Read columns of rows.parquet, a line per cell, example and metric; those it lacks are left out."""
        file = self.folder / "rows.parquet"
        return read_rows(file, columns) if file.exists() else pd.DataFrame(columns=list(columns))

    @property
    def _config(self) -> dict[str, Any]:
        return as_mapping(self.info.get("config"))


def read_run(folder: Path) -> Run | str:
    """Read the run in a folder, or say in a sentence why it cannot be reported."""
    if not (folder / "summary.csv").exists():
        return f"{folder.name} is unfinished (no summary.csv) and left out: the same `harness run` goes on from there"
    info = read_json(folder / "run.json")
    if not isinstance(info.get("protocol"), int) or not as_mapping(info.get("config")):
        return f"{folder.name} is left out: its run.json is torn, or names no protocol and configuration"
    try:
        summary = read_summary(folder / "summary.csv")
        rows = folder / "rows.parquet"
        there = row_columns(rows) if rows.exists() else names(ROWS)
    except InputError as error:
        return f"{folder.name} is left out: {error}"
    if summary.table.empty:
        return f"{folder.name} is left out: it holds no scores"
    lacking = dict.fromkeys([*summary.lacking, *(name for name in names(ROWS) if name not in there)])
    return Run(folder, info, summary.table, tuple(lacking))
