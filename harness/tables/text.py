"""Writes scores, differences and knobs as short text: the same in the terminal, in tables and on the page."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from harness.tables.marks import HOW_KNOWN

EXACT = 0.03
"""Relative distance below which a setting counts as being at a ratio: knobs are whole numbers."""


def is_away(compression: float, asked: float) -> bool:
    """Say if a compression is not the ratio that was asked for; NaN asks for none."""
    return math.isfinite(asked) and abs(compression / asked - 1) > EXACT


def reached(line: Mapping[Any, Any]) -> str:
    """Write the compression that a cell of a table reached: "7.96", or "7.25 (asked 8)" if it is more than 3% away.

    Says where it was measured, or where choosing is charged as an index is said to read.
    """
    said = [word for word in HOW_KNOWN if word in str(line.get("cost", ""))]
    return " ".join([_beside(float(line["compression"]), float(line["ratio"])), *said])


def held(line: Mapping[Any, Any]) -> str:
    """Write the compression of memory that a cell of a table reached, as `reached` writes that of transfers."""
    return _beside(float(line["memory_compression"]), float(line["memory_ratio"]))


def _beside(compression: float, asked: float) -> str:
    if not math.isfinite(compression):
        return "-"
    return f"{compression:.2f}" + (f" (asked {asked:g})" if is_away(compression, asked) else "")


def precision(cells: pd.DataFrame) -> str:
    """Name the precision in which a table's bytes are counted: " (float32)", or "" where no line says it."""
    found = sorted(cells["dtype"].dropna().unique())
    return f" ({' and '.join(found)})" if found else ""


def decided(cells: pd.DataFrame) -> str:
    """Write which share of the scores first tokens decide: ", 0.31 decided by the first token", "" where none are."""
    share = cells["decided"].astype(float).max()
    return f", {share:.2f} decided by the first token" if share > 0 else ""


def digits(values: pd.Series[Any]) -> int:
    """Choose how many decimals scores of one metric are printed with: 3 up to 10, else 1."""
    return 3 if not values.abs().max() >= 10 else 1


def with_error(value: float, stderr: float, decimals: int = 3) -> str:
    """Write a score with its standard error: "0.833 ± 0.017", "0.500" for a single example, "-" for a gap."""
    if not math.isfinite(value):
        return "-"
    return f"{value:.{decimals}f}" + (f" ± {stderr:.{decimals}f}" if math.isfinite(stderr) else "")


def difference(line: Mapping[Any, Any], decimals: int = 3) -> str:
    """Write a summary line's paired difference to dense: "-0.333 [-0.667, +0.000]", or "" where there is none."""
    mean, low, high = (float(line[name]) for name in ("delta_dense", "delta_ci_low", "delta_ci_high"))
    if not math.isfinite(mean):
        return ""
    interval = f" [{low:+.{decimals}f}, {high:+.{decimals}f}]" if math.isfinite(low) else ""
    return f"{mean:+.{decimals}f}{interval}"


def setting(params: str) -> str:
    """Write the knobs that a table's column `params` holds as JSON."""
    return knobs(json.loads(params))


def knobs(values: Mapping[str, Any]) -> str:
    """Write knobs as "k=64 r=16 reallocate": those that are null or off are left out, switches stand last.

    One that differs between examples is written as "k=61..203".
    """
    valued = [
        f"{name}={'..'.join(map(str, value)) if isinstance(value, list) else value}"
        for name, value in values.items()
        if value is not None and not isinstance(value, bool)
    ]
    return " ".join(valued + [name for name, value in values.items() if value is True])
