"""Results folders made by hand: the numbers in them are chosen, so what a report must say of them is known."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.tables.columns import SUMMARY, names
from support.report.moments import moments

DENSE_BYTES = 8192.0
NOT_COMPARED = ["kl", "agreement", "lost", "accepted_2", "accepted_4", "accepted_8"]
"""Empty in a run without divergence."""


@dataclass(frozen=True)
class Cell:
    """A cell with a score per example; `compression` fixes its bytes, `text` what it answered."""

    method: str
    values: Sequence[float]
    compression: float = 1.0
    params: Mapping[str, Any] = field(default_factory=dict)
    ratio: float = math.nan
    per: str = "task"
    text: str = "an answer"
    first: float = 1.0
    summary: Mapping[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        return f"{self.method}-{zlib.crc32((json.dumps(dict(self.params), sort_keys=True) + self.per).encode()):08x}"


@dataclass(frozen=True)
class Folder:
    """One run: model, task, data, and its cells. The first dense cell is the reference of differences."""

    cells: Sequence[Cell]
    model: str = "m"
    task: str = "squad"
    data: str = "hub"
    metric: str = "match"
    higher: bool = True
    protocol: int = 1
    suffix: str = "00000001"
    arguments: Mapping[str, Any] = field(default_factory=dict)
    columns: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.model}-{self.task}-{self.data}-{self.suffix}".replace("/", "-")

    def write(self, root: Path) -> Path:
        """Write run.json, rows.parquet, summary.csv, examples.jsonl and outputs.jsonl below root."""
        folder = root / self.name
        folder.mkdir(parents=True)
        self._rows().to_parquet(folder / "rows.parquet", index=False)
        summary = pd.DataFrame([self._line(cell) for cell in self.cells], columns=names(SUMMARY))
        summary.to_csv(folder / "summary.csv", index=False)
        (folder / "run.json").write_text(json.dumps(self._info()))
        _write_lines(folder / "examples.jsonl", self._examples())
        _write_lines(folder / "outputs.jsonl", self._outputs())
        return folder

    def _ids(self) -> list[str]:
        return [f"e{i}" for i in range(max((len(cell.values) for cell in self.cells), default=0))]

    def _info(self) -> dict[str, Any]:
        config = {"data": {"kind": self.data, "arguments": {}}, "model": {"name": self.model, "dtype": "float16"}}
        config["task"] = {"name": self.task, "arguments": dict(self.arguments)}
        return {"protocol": self.protocol, "config": config, "examples": self._ids(), "data_fingerprint": "d"}

    def _labels(self, cell: Cell) -> dict[str, Any]:
        return {
            "model": self.model,
            "run": self.name,
            "task": self.task,
            "metric": self.metric,
            "method": cell.method,
            "params": json.dumps(dict(cell.params), sort_keys=True),
            "cell": cell.id,
            "ratio": cell.ratio,
            "per": None if math.isnan(cell.ratio) else cell.per,
            "dtype": "float16",
            "compression": cell.compression,
            "bytes_per_token": DENSE_BYTES / cell.compression,
            "transfers_elements": DENSE_BYTES / cell.compression / 2,
            "memory_ratio": math.nan,
            "memory_compression": 1.0,
            "held_bytes": DENSE_BYTES,
            "cost": "formula",
            **dict.fromkeys(NOT_COMPARED, math.nan),
            "higher_is_better": self.higher,
            "prompt_tokens": 1000.0,
            "cut_tokens": 0.0,
            "new_tokens": 4,
            "seconds": 0.1,
        }

    def _rows(self) -> pd.DataFrame:
        frames = [self._rows_of(cell) for cell in self.cells]
        return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()

    def _rows_of(self, cell: Cell) -> pd.DataFrame:
        count, dense = len(cell.values), cell.method == "dense"
        row = {"example": self._ids()[:count], "value": list(cell.values)}
        row |= {name: list(values)[:count] for name, values in self.columns.items()}
        measured = {
            "launch": "l0",
            "knobs": json.dumps(dict(cell.params), sort_keys=True),
            "active": not dense,
            "decided": False,
            "delta_nll": 0.1,
            "first_difference": math.nan if dense else cell.first,
        }
        return pd.DataFrame(row).assign(**measured, **self._labels(cell))

    def _line(self, cell: Cell) -> dict[str, Any]:
        dense = next((c.values for c in self.cells if c.method == "dense" and cell.method != "dense"), None)
        return self._labels(cell) | {"delta_nll": 0.1, "active": 1.0} | moments(cell.values, dense) | dict(cell.summary)

    def _examples(self) -> list[dict[str, Any]]:
        common = {"task": self.task, "target": "gold", "prompt_tail": "the prompt", "continuation": ""}
        return [{"unit": f"u{example}", "example": example, **common} for example in self._ids()]

    def _outputs(self) -> list[dict[str, Any]]:
        return [
            {"unit": f"u{example}", "cell": cell.id, "example": example, "text": cell.text}
            for cell in self.cells
            for example in self._ids()[: len(cell.values)]
        ]


def quarter_and_eighth(**more: Any) -> Folder:
    """Dense at 0.75, SparQ at 0.75 and 0.5, H2O at 0.25 and 0, on four examples."""
    return Folder(
        [
            Cell("dense", [1, 1, 1, 0]),
            Cell("sparq", [1, 1, 1, 0], 4, {"r": 16, "k": 128}, 4),
            Cell("sparq", [1, 1, 0, 0], 8, {"r": 8, "k": 64}, 8),
            Cell("h2o", [1, 0, 0, 0], 4, {"k": 200}, 4),
            Cell("h2o", [0, 0, 0, 0], 8, {"k": 100}, 8),
        ],
        **more,
    )


def write_needles(root):
    """Dense finds all; SparQ at 8x, with another k for each length, misses the deep one of the shorter length."""
    for length, found, depths in ((1024, [1, 0], [0.0, 1.0]), (2048, [1], [0.0])):
        cells = [Cell("dense", [1] * len(found)), Cell("sparq", found, 8.1, {"k": length // 16}, 8)]
        columns = {"length": [float(length)] * len(found), "depth": depths}
        Folder(cells, task=f"needle_{length}", columns=columns).write(root)


def _write_lines(file: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    file.write_text("".join(json.dumps(line) + "\n" for line in lines))
