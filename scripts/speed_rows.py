"""Reads the committed measurements of attention as what the time model prices: for `fit_time_model.py`."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from harness import methods
from harness.attention import LayerShape
from harness.forecast.device import DEVICES, SEARCHES, Device, ModelSize, Traffic
from harness.forecast.time_model import SEPARATE, WEIGHED, chosen_apart
from harness.sweep.traffic import traffic_of

SPEED = Path(__file__).resolve().parents[1] / "docs" / "speed"
FILES = ("grid", "bars", "h100", "families", "rivals")
"""The parts of attention_PART.csv; one that is not there yet is left out."""
MANY = SEARCHES[1:]
"""Ways to search for many entries."""
BEFORE_GROUPS = ("ee81cff",)
"""Commits whose kernels for groups of query heads are no more: their times say nothing of today's."""
SLOW = ("math", "packed")
"""Words of the paths of PyTorch's SDPA that nobody would choose."""


@dataclass(frozen=True)
class Measured:
    """Holds one timed call of attention of one layer: on what, what it moved, for how many rows, and microseconds."""

    device: Device
    size: ModelSize
    traffic: Traffic
    rows: int
    path: str
    us: float

    @property
    def reading(self) -> list[float]:
        """Return what the constants of a reading pass are multiplied with: 1, kB of a KV head, us at the data sheet."""
        read = self.traffic.moved - chosen_apart(self.traffic)
        return [1.0, read / self.size.kv_heads / 1e3, self._ideal_us(read)]

    @property
    def choosing(self) -> list[float]:
        """Return the same for choosing: 1, thousand entries, million weights, and us of the bytes per access pattern.

        Then, for each way to search for many, 1 and million entries.
        """
        traffic, read = self.traffic, chosen_apart(self.traffic)
        if not read:
            return [0.0] * (3 + len(SEPARATE) + 2 * len(MANY))
        entries = self.rows * traffic.scored * self.size.kv_heads / 1e6
        per_access = [self._ideal_us(read) * (traffic.access == access) for access in SEPARATE]
        per_search = [term * (traffic.search == search) for search in MANY for term in (1.0, entries)]
        weights = entries * self.size.group * (traffic.access == WEIGHED)
        return [1.0, traffic.scored / 1e3, weights, *per_access, *per_search]

    @property
    def beside(self) -> list[float]:
        """Return the same for what else takes time: millions of codes to read back, and counting what is moved."""
        return [self.rows * self.traffic.codes / 1e6, float(self.traffic.metered)]

    @property
    def launched(self) -> list[float]:
        """Return the same for a method in PyTorch: 1, and us of the whole cache and of what is moved."""
        return [1.0, self._ideal_us(self.traffic.whole + self.traffic.moved)]

    def _ideal_us(self, row_bytes: float) -> float:
        return self.rows * row_bytes / self.device.bandwidth * 1e6


def measured(parts: Sequence[str] = FILES) -> list[Measured]:
    """Return every timed call on a device whose data sheet is known."""
    files = [SPEED / f"attention_{part}.csv" for part in parts]
    return [found for file in files if file.exists() for found in _measured(pd.read_csv(file))]


def ours(rows: Sequence[Measured]) -> list[Measured]:
    """Return the calls of our kernels."""
    return [row for row in rows if row.path == "triton"]


def in_torch(rows: Sequence[Measured]) -> list[Measured]:
    """Return the calls of methods that Python launched."""
    return [row for row in rows if row.path == "torch"]


def by(rows: Sequence[Measured], key: Callable[[Measured], str]) -> dict[str, list[Measured]]:
    """Group calls by a key, in its order."""
    return {name: [row for row in rows if key(row) == name] for name in sorted({key(row) for row in rows})}


def _measured(table: pd.DataFrame) -> Iterator[Measured]:
    for row in table.dropna(subset="us").to_dict("records"):  # a line that is wrong or unsupported has no time
        device = next((one for one in DEVICES if one.name in row["device"]), None)
        apart = _reads_rows(row) or _is_no_more(row)
        if device and not any(word in row["path"] for word in SLOW) and not apart:
            layer = LayerShape(row["kv_heads"], row["d"], group=row["heads"] // row["kv_heads"])
            traffic = traffic_of(row["method"], _method(row), [layer], row["s"], 2)
            size = ModelSize(0.0, 1, layer.kv_heads, group=layer.group)
            yield Measured(device, size, traffic, row["batch"], row["path"], row["us"])


def _method(row: dict[Any, Any]) -> methods.Method[Any]:
    knobs = ast.literal_eval(row["params"]) if "params" in row else _given(row)
    return methods.create(row["method"], **knobs)


def _given(row: dict[Any, Any]) -> dict[str, Any]:
    return {knob: int(row[knob]) for knob in ("r", "k") if not pd.isna(row[knob])}


def _is_no_more(row: dict[Any, Any]) -> bool:
    """Return True for a kernel of ours that has been replaced since."""
    return row["commit"] in BEFORE_GROUPS and row["path"] == "triton" and row["kv_heads"] < row["heads"]


def _reads_rows(row: dict[Any, Any]) -> bool:
    """Return True for channels of K that is stored once: whole rows are read then, which no cost says."""
    return row.get("k_stored") == 1 and methods.find(row["method"]).about.access == "channels"
