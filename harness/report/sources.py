"""Reads what a figure is drawn from."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from harness.errors import InputError, first_line
from harness.report.load import Results
from harness.report.methods import CONTROLS, with_facts
from harness.report.names import DENSE
from harness.store.plain import read_whole
from harness.store.schema import LONGEST_NAME
from harness.tables.check import LARGEST
from harness.text import printable

ATTENTION = ["method", "batch", "seq", "median_us"]
"""Columns of a benchmark of attention alone: microseconds of one decode step of the whole batch."""
SPREAD = ["p10_us", "p90_us"]
"""Further columns of it, drawn where a benchmark has them."""
GENERATE = ["method", "batch", "seq", "ms_per_token"]
"""Columns of one of end-to-end decoding: milliseconds of a step of the whole batch."""
MEASURED = ["device", "model", "dtype", "method", "params", "backend", "batch", "heads", "kv_heads", "seq", "head_dim"]
MEASURED += ["r", "k", "k_stored", "compression"]
"""What tells two measurements apart, of the columns that a benchmark has."""
SHAPED = ["batch", "seq"]
"""What a time is of: there in every line."""
NUMBERS = [*SHAPED, *SPREAD, "median_us", "ms_per_token", "heads", "kv_heads", "head_dim", "r", "k", "k_stored"]
NUMBERS += ["compression"]
TEXTS = ["device", "model", "dtype", "method", "params", "backend"]
SHORT = {"s": "seq", "d": "head_dim", "us": "median_us", "us_p10": "p10_us", "us_p90": "p90_us", "path": "backend"}
"""Short names that `harness bench` writes for some columns."""
OUR_DENSE = "Triton dense"
"""Our own dense kernel, which is drawn like a method: the baseline is the fastest of PyTorch's."""


@dataclass(frozen=True)
class Sources:
    """Holds results of runs (None for benchmarks alone), published points to overlay (None: none), and benchmarks.

    `left_out` says in sentences which benchmarks of the results folder cannot be read.
    """

    results: Results | None
    published: pd.DataFrame | None = None
    attention: pd.DataFrame = field(default_factory=pd.DataFrame)
    generate: pd.DataFrame = field(default_factory=pd.DataFrame)
    left_out: tuple[str, ...] = ()


def read_benchmarks(files: Iterable[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read attention and end-to-end benchmarks, told apart by their columns; lines without a time are left out.

    Raises InputError for any other file.
    """
    return _told_apart([_read(file) for file in files])


def find_benchmarks(files: Iterable[Path]) -> tuple[pd.DataFrame, pd.DataFrame, tuple[str, ...]]:
    """Read those of the files that are benchmarks as `read_benchmarks` does, and say of each other why it is none."""
    found, left_out = [], []
    for file in files:
        try:
            found.append(_read(file))
        except InputError as error:
            left_out.append(f"{printable(file.name)} is left out: {error}")
    return *_told_apart(found), tuple(left_out)


def _told_apart(frames: Iterable[pd.DataFrame]) -> tuple[pd.DataFrame, pd.DataFrame]:
    found: dict[str, list[pd.DataFrame]] = {"median_us": [], "ms_per_token": []}
    for frame in frames:
        time = "median_us" if "median_us" in frame else "ms_per_token"
        found[time].append(_named(frame[frame[time].notna()]))
    attention, generate = map(_joined, found.values())
    return attention, generate


def _read(file: Path) -> pd.DataFrame:
    """Read a benchmark's table. Raises InputError for a file that holds none."""
    try:
        frame = pd.read_csv(io.BytesIO(read_whole(file)), low_memory=False).rename(columns=SHORT)
    except FileNotFoundError:
        raise InputError(f"{file} does not exist: `harness bench` writes benchmark CSVs") from None
    except ValueError as error:
        raise InputError(
            f"{file} cannot be read ({first_line(error)}): `harness bench` writes benchmark CSVs"
        ) from None
    wanted = ATTENTION if "median_us" in frame else GENERATE
    lacking = [name for name in wanted if name not in frame]
    if lacking:
        raise InputError(f"{file} is no benchmark of attention or generation: it lacks the column {lacking[0]}")
    for name in [name for name in [*NUMBERS, *TEXTS] if name in frame]:
        if not _holds(frame[name], numbers=name in NUMBERS, all_there=name in (*SHAPED, "method")):
            raise InputError(f"{file} is no benchmark: its column {name} holds something else than it must")
    return frame


def _holds(values: pd.Series[Any], numbers: bool, all_there: bool) -> bool:
    """Say if a column holds finite numbers above 0, or texts; in every line if `all_there`."""
    there = values.dropna()
    if len(there) < len(values) and all_there:
        return False
    if not numbers:
        return bool(there.astype(str).str.len().between(1, LONGEST_NAME).all())
    if pd.api.types.is_bool_dtype(there) or not (there.empty or pd.api.types.is_numeric_dtype(there)):
        return False
    return bool(there.astype(float).between(0, LARGEST, inclusive="right").all())


def _joined(frames: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Join tables to one; of what was measured twice, keep the last."""
    if not frames:
        return pd.DataFrame()
    whole = pd.concat(frames, ignore_index=True)
    return whole.drop_duplicates([name for name in MEASURED if name in whole], keep="last", ignore_index=True)


def _named(frame: pd.DataFrame) -> pd.DataFrame:
    """Name the device, our own dense kernel as a method, and the facts of each; round compression to whole numbers."""
    frame = frame if "device" in frame else frame.assign(device="device not named")
    frame = frame.reindex(columns=[*frame.columns, *(name for name in SPREAD if name not in frame)])
    if "backend" in frame:
        own = (frame["method"] == DENSE) & (frame["backend"] == "triton")
        frame = frame.assign(method=frame["method"].mask(own, OUR_DENSE))
    frame = frame.assign(compression=frame["compression"].round()) if "compression" in frame else frame
    return with_facts(frame, {OUR_DENSE: {"title": OUR_DENSE, "family": CONTROLS}})
