"""From the settings that ran to a compression ratio that a table asks for: the nearest one, or a value in between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

TARGETS = (1.0, 2.0, 4.0, 8.0)
EXACT = 0.03
"""Relative distance below which a setting counts as being at the target."""
NEAR = 0.25
"""Octaves beyond which a setting does not stand for the target in a table."""
OCTAVE = 1.0
"""The same for a figure that shows one ratio only, and says so."""


@dataclass(frozen=True)
class Value:
    """A score at a compression ratio; `how` is "nearest" (a setting that ran) or "interpolated"."""

    how: str
    compression: float
    value: float
    stderr: float
    cell: str = ""


def digits(values: pd.Series[Any]) -> int:
    """Decimals to print scores of one metric with: 3 up to 10, else 1."""
    return 3 if not values.abs().max() >= 10 else 1


def with_error(value: float, stderr: float, decimals: int) -> str:
    """Such as "0.833 ± 0.017"; "0.500" for a single example, "-" for a gap."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.{decimals}f}" + (f" ± {stderr:.{decimals}f}" if math.isfinite(stderr) else "")


def nearest(cells: pd.DataFrame, target: float, within: float = NEAR) -> pd.Series[Any] | None:
    """The cell of one variant whose compression is nearest to the target, at most `within` octaves away."""
    distance = np.abs(np.log2(cells["compression"].to_numpy(float) / target))
    if not len(distance) or not np.nanmin(distance) <= within:
        return None
    return cells.iloc[int(np.nanargmin(distance))]


def nearest_value(cells: pd.DataFrame, target: float) -> Value | None:
    """The nearest setting at any distance, with the compression that it achieves."""
    found = nearest(cells, target, math.inf)
    if found is None:
        return None
    return Value("nearest", float(found["compression"]), found["value"], found["stderr"], str(found["cell"]))


def interpolated(cells: pd.DataFrame, target: float) -> Value | None:
    """At exactly the target, linear in log2 of the compression between the two settings around it; never beyond them.

    Both settings ran on the same examples, so their errors are correlated: the error is the weighted sum of theirs, an
    upper bound.
    """
    known = cells[cells["value"].notna()].sort_values("compression")
    below, above = known[known["compression"] <= target], known[known["compression"] >= target]
    if below.empty or above.empty:
        return None
    low, high = below.iloc[-1], above.iloc[0]
    span = math.log2(high["compression"] / low["compression"])
    weight = math.log2(target / low["compression"]) / span if span > 0 else 0.0
    value = (1 - weight) * low["value"] + weight * high["value"]
    return Value("interpolated", target, value, (1 - weight) * low["stderr"] + weight * high["stderr"])
