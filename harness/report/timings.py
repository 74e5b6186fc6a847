"""Makes benchmarks comparable: each time stands beside the best dense one of the same shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pandas as pd

from harness.report.drawing.style import Look, look
from harness.report.methods import Line
from harness.report.names import DENSE

SHAPE = ["device", "model", "dtype", "batch", "heads", "kv_heads", "seq", "head_dim"]
"""What must be equal for two times to be compared, of the columns that a benchmark has."""
LAYOUT = ["dtype", "heads", "kv_heads", "head_dim"]
"""Of these, what a figure of batches and lengths keeps fixed."""
KNOBS = ["r", "k", "k_stored", "compression"]
"""What tells settings of a method apart, of the columns that a benchmark has."""
BASELINES = ("dense", "sdpa")
"""Methods whose name begins so are implementations of dense attention; the fastest one is the baseline."""
LINES = ("-", "--", "-.", ":")


def is_dense(method: str) -> bool:
    """Return whether a benchmarked method is an implementation of dense attention."""
    return method.lower().startswith(BASELINES)


def with_speedup(times: pd.DataFrame, time: str) -> pd.DataFrame:
    """Add `speedup` over the best dense time of the same shape, by the column `time`; NaN where there is none."""
    shape = _shape(times)
    dense = times[times["method"].map(is_dense)]
    best = dense.groupby(shape, dropna=False)[time].min().rename("dense_time").reset_index()
    joined = times.drop(columns=["speedup"], errors="ignore").merge(best, on=shape, how="left")
    return joined.assign(speedup=joined["dense_time"] / joined[time])


def one_layout(times: pd.DataFrame) -> pd.DataFrame:
    """Select the head layout and precision that was measured most: others belong to another curve."""
    layout = [name for name in LAYOUT if name in times]
    if not layout:
        return times
    sizes = times.groupby(layout, dropna=False)["method"].transform("size")
    most = times.loc[sizes == sizes.max(), layout].iloc[0]
    selected: pd.DataFrame = times[(times[layout] == most).all(axis=1)]
    return selected


class Series(NamedTuple):
    """Holds the times of one method and setting, the label of its legend, and its place among the method's settings."""

    label: str
    method: str
    nth: int
    times: pd.DataFrame

    @property
    def look(self) -> Look:
        """Return the method's look in all figures, with a line of its own for each of several settings."""
        return replace(look(self.times.iloc[0]), line=LINES[self.nth % len(LINES)])


def series(times: pd.DataFrame, time: str) -> list[Series]:
    """Split times by method and knobs; dense comes first, by the fastest implementation of each shape at `time`."""
    dense = times[times["method"].map(is_dense)]
    fastest = dense.loc[dense.groupby(_shape(times), dropna=False)[time].idxmin()].assign(method=DENSE)
    found = [Series("Dense (fastest)", DENSE, 0, fastest)] if len(dense) else []
    rest = times[~times["method"].map(is_dense)]
    knobs = [name for name in KNOBS if name in rest and rest[name].notna().any()]
    ordered = rest.sort_values(knobs, ascending=[name != "k_stored" for name in knobs]) if knobs else rest
    for method, group in ordered.groupby("method"):
        settings = group.groupby(knobs, dropna=False, sort=False) if knobs else [((), group)]
        for nth, (values, mine) in enumerate(settings):
            found.append(Series(_label(mine.iloc[0], knobs, values), str(method), nth, mine))
    return found


def thousands(tokens: float) -> str:
    """Write a number of tokens in units of 1024: "16k"."""
    return f"{tokens / 1024:g}k" if tokens >= 1024 else f"{tokens:g}"


def _shape(times: pd.DataFrame) -> list[str]:
    return [name for name in SHAPE if name in times]


def _label(line: Line, knobs: Sequence[str], values: Any) -> str:
    """Name a method and its knobs, and K stored once where a copy by channels would serve it."""
    given = {name: float(value) for name, value in zip(knobs, values, strict=True) if not pd.isna(value)}
    words = [f"{name} = {given[name]:g}" for name in ("r", "k") if name in given]
    words += [f"{given['compression']:g}x"] if given.get("compression", 1) != 1 else []
    words += ["K stored once"] if line["access"] == "channels" and given.get("k_stored", 2) == 1 else []
    return f"{line['title']} ({', '.join(words)})" if words else str(line["title"])
