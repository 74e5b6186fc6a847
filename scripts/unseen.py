"""Predicts calls by fits of the time model that have not seen them: for `fit_time_model.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from speed_rows import Measured, by
from time_passes import kernels_alone, launched, shared_path

from harness import methods
from harness.forecast.device import MEASURED
from harness.forecast.time_model import UNMEASURED


def left_out(rows: Sequence[Measured]) -> dict[str, list[float]]:
    """Return predicted / measured of each method, family, and card besides MEASURED, by a fit on all others."""
    groups: dict[str, Callable[[Measured], str]] = {
        "method": lambda row: row.traffic.method,
        "family": _family,
        "card": lambda row: row.device.name if row.device != MEASURED else "",
    }
    found: dict[str, list[float]] = {}
    for kind, key in groups.items():
        for name, group in by(rows, key).items():
            others = [row for row in rows if key(row) != name]
            if name and others:
                found[f"{kind} {name}"] = _ratios(shared_path(others), group)
    return found


def left_out_launched(rows: Sequence[Measured]) -> dict[str, list[float]]:
    """Return predicted / measured of each family in PyTorch, by a fit on all others."""
    found: dict[str, list[float]] = {}
    for name, group in by(rows, _family).items():
        others = [row for row in rows if _family(row) != name]
        if others:
            constants = launched(others, 0.0)
            found[f"PyTorch, family {name}"] = [
                (constants["fixed_us"] + row.launched[1] / constants["share"]) / row.us for row in group
            ]
    return found


def _ratios(passes: dict[str, Any], rows: Sequence[Measured]) -> list[float]:
    streamed = passes["reading"]["share"]  # what nobody measured is taken to be read like what is attended to
    passes["choosing"]["share"].setdefault(UNMEASURED, streamed)
    model = kernels_alone(passes, 1.0, 1.0)
    seconds = (model.attention_seconds(row.device, row.size, row.traffic, row.rows) for row in rows)
    return [one * 1e6 / row.us for one, row in zip(seconds, rows, strict=True)]


def _family(row: Measured) -> str:
    return str(methods.facts(row.traffic.method)["family"])


def table_of(found: Mapping[str, Sequence[float]]) -> str:
    """Lay out predicted / measured as a table."""
    lines = ["| left out | predicted / measured: median | range | off by more than 25% |", "|---|---|---|---|"]
    for name, ratios in found.items():
        off = sum(abs(ratio - 1) > 0.25 for ratio in ratios)
        spread = f"{np.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f}"
        lines.append(f"| {name} | {spread} | {off} of {len(ratios)} |")
    return "\n".join(lines)
