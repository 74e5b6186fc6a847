"""Reads what a figure is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from harness.errors import InputError
from harness.report.load import Results
from harness.report.methods import CONTROLS, with_facts
from harness.report.names import DENSE

ATTENTION = ["method", "batch", "seq", "median_us"]
"""Columns of a benchmark of attention alone: microseconds of one decode step of the whole batch."""
SPREAD = ["p10_us", "p90_us"]
"""Further columns of it, drawn where a benchmark has them."""
GENERATE = ["method", "batch", "seq", "ms_per_token"]
"""Columns of one of end-to-end decoding: milliseconds of a step of the whole batch."""
MEASURED = ["device", "model", "dtype", "method", "params", "backend", "batch", "heads", "kv_heads", "seq", "head_dim"]
MEASURED += ["r", "k", "k_stored", "compression"]
"""What tells two measurements apart, of the columns that a benchmark has."""
SHORT = {"s": "seq", "d": "head_dim", "us": "median_us", "us_p10": "p10_us", "us_p90": "p90_us", "path": "backend"}
"""Short names that `harness bench` writes for some columns."""
OUR_DENSE = "Triton dense"
"""Our own dense kernel, which is drawn like a method: the baseline is the fastest of PyTorch's."""


@dataclass(frozen=True)
class Sources:
    """Holds results of runs (None for benchmarks alone), published points to overlay (None: none), and benchmarks."""

    results: Results | None
    published: pd.DataFrame | None = None
    attention: pd.DataFrame = field(default_factory=pd.DataFrame)
    generate: pd.DataFrame = field(default_factory=pd.DataFrame)


def read_benchmarks(files: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read attention and end-to-end benchmarks, told apart by their columns; lines without a time are left out.

    Raises InputError for any other file.
    """
    found: dict[str, list[pd.DataFrame]] = {"attention": [], "generate": []}
    for file in files:
        if not file.exists():
            raise InputError(f"{file} does not exist: `harness bench` writes benchmark CSVs")
        frame = pd.read_csv(file).rename(columns=SHORT)
        kind = "attention" if "median_us" in frame else "generate"
        lacking = [name for name in (ATTENTION if kind == "attention" else GENERATE) if name not in frame]
        if lacking:
            raise InputError(f"{file} is no benchmark of attention or generation: it lacks the column {lacking[0]}")
        timed = frame[frame["median_us" if kind == "attention" else "ms_per_token"].notna()]
        found[kind].append(_named(timed))
    attention, generate = (_joined(frames) for frames in found.values())
    return attention, generate


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
