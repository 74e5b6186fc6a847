"""One finished run of a results folder, and what makes two runs comparable."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import InputError
from harness.tables.summary import COLUMNS

REPEATED = ["model", "run", "method", "params", "cell", "task", "metric"]
"""Columns of rows.parquet with few different values: read as categories, a tenth of the memory."""


@dataclass(frozen=True)
class Run:
    """What a folder of results/ holds: run.json, and summary.csv with one line per cell and metric."""

    folder: Path
    info: Mapping[str, Any]
    summary: pd.DataFrame

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.name

    @property
    def protocol(self) -> int:
        """Scores of different protocols are not comparable."""
        return int(self.info["protocol"])

    @property
    def examples(self) -> tuple[str, ...]:
        """Ids of the examples it asked for."""
        return tuple(str(example) for example in self.info.get("examples", ()))

    @property
    def data(self) -> str:
        """Where its rows came from: hub, local, embedded, lm_eval."""
        kind = str(self.info["config"]["data"]["kind"])
        parts = self.name.rsplit("-", 2)
        return parts[1] if kind == "auto" and len(parts) == 3 else kind

    @property
    def question(self) -> str:
        """Equal for runs that asked the same model the same questions, so that their cells share a curve."""
        config = self.info["config"]
        asked = [config.get("model"), config.get("task"), self.data, self.examples]
        asked += [self.info.get(name) for name in ("model_fingerprint", "data_fingerprint")]
        return json.dumps(asked, sort_keys=True)

    def rows(self, columns: Sequence[str]) -> pd.DataFrame:
        """Columns of rows.parquet, a line per cell, example and metric; those it lacks are left out."""
        file = self.folder / "rows.parquet"
        if not file.exists():
            return pd.DataFrame(columns=list(columns))
        try:
            there = set(pq.read_schema(file).names)
            wanted = [name for name in columns if name in there]
            table = pq.read_table(file, columns=wanted, read_dictionary=[c for c in wanted if c in REPEATED])
        except (pa.ArrowInvalid, OSError) as error:
            raise InputError(f"{file} cannot be read ({error}): run the same sweep again to rewrite it") from None
        frame: pd.DataFrame = table.to_pandas()
        return frame


def read_run(folder: Path) -> Run | str:
    """The run in a folder, or a sentence that says why it cannot be reported."""
    if not (folder / "summary.csv").exists():
        return f"{folder.name} is unfinished (no summary.csv) and left out: the same `harness run` goes on from there"
    try:
        info = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        run = Run(folder, info, pd.read_csv(folder / "summary.csv"))
        _ = (run.protocol, run.data)
    except (ValueError, KeyError, TypeError) as error:
        return (
            f"{folder.name} is left out: its run.json or summary.csv cannot be read ({type(error).__name__}: {error})"
        )
    lacking = [name for name in COLUMNS if name not in run.summary.columns]
    if lacking:
        return f"{folder.name} is left out: its summary.csv lacks the column {lacking[0]}"
    if run.summary.empty:
        return f"{folder.name} is left out: it holds no scores"
    return run
