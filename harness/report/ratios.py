"""Finds a value at a compression ratio that a table asks for: of the nearest setting that ran, or in between."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from harness.tables.text import EXACT

TARGETS = (1.0, 2.0, 4.0, 8.0)
NEAR = 0.25
"""Octaves beyond which a setting does not stand for the target in a table."""
OCTAVE = 1.0
"""The same for a figure that shows one ratio only, and says so."""


@dataclass(frozen=True)
class Value:
    """Holds a score at a compression ratio: of a setting that ran, or interpolated."""

    compression: float
    value: float
    stderr: float


def nearest(cells: pd.DataFrame, target: float, within: float = NEAR) -> pd.Series[Any] | None:
    """Find the cell of one variant whose compression is nearest to the target, at most `within` octaves away.

    A measured cell without a decode step has no compression, and is near nothing.
    """
    known = cells[cells["compression"].notna()]
    distance = np.abs(np.log2(known["compression"].to_numpy(float) / target))
    if not len(distance) or not distance.min() <= within:
        return None
    return known.iloc[int(distance.argmin())]


def nearest_value(cells: pd.DataFrame, target: float) -> Value | None:
    """Find the nearest setting, at most a factor of 2 away, with the compression that it achieves."""
    found = nearest(cells, target, OCTAVE)
    return None if found is None else Value(float(found["compression"]), found["value"], found["stderr"])


def interpolated(cells: pd.DataFrame, target: float) -> Value | None:
    """Interpolate at the target, linear in log2 of the compression between the settings around it; never beyond them.

    A setting that is at the target within 3% is the value itself: solved knobs are integers. Both settings ran on the
    same examples, so their errors are correlated: the error is the weighted sum of theirs, an upper bound.
    """
    known = cells[cells["value"].notna()].sort_values("compression")
    there = nearest(known, target, math.log2(1 + EXACT))
    if there is not None:
        return Value(target, there["value"], there["stderr"])
    below, above = known[known["compression"] < target], known[known["compression"] > target]
    if below.empty or above.empty:
        return None
    low, high = below.iloc[-1], above.iloc[0]
    weight = math.log2(target / low["compression"]) / math.log2(high["compression"] / low["compression"])
    value = (1 - weight) * low["value"] + weight * high["value"]
    return Value(target, value, (1 - weight) * low["stderr"] + weight * high["stderr"])
