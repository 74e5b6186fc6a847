"""Fits the passes of the time model on timed calls: for `fit_time_model.py`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

import numpy as np
from scipy.optimize import nnls
from speed_rows import MANY, Measured

from harness.forecast.time_model import SEPARATE, Choosing, Reading, TimeModel

TORCH_SHARE = 0.25
"""Assumed, of the bandwidth, where no method in PyTorch was measured."""


def shared_path(rows: Sequence[Measured]) -> dict[str, Any]:
    """Fit reading and choosing, which all methods with a kernel share. Choosing by a pattern unseen is left out."""
    bounds = (0, 0, 1, 0, 0, 0, *(1 for _ in SEPARATE), *(0 for _ in 2 * MANY), 0, 0)
    found = iter(_fit([row.reading + row.choosing + row.beside for row in rows], rows, bounds))
    reading = _reading(list(islice(found, 3)))
    names = "fixed_us", "us_per_kiloentry", "us_per_million_weights"
    choosing: dict[str, Any] = {name: short(us) for name, us in zip(names, islice(found, 3), strict=True)}
    seen = {row.traffic.access for row in rows}
    per_access = zip(SEPARATE, islice(found, len(SEPARATE)), strict=True)
    choosing["share"] = {access: _share(us) for access, us in per_access if access in seen}
    choosing["searches"] = {
        search: {"fixed_us": short(next(found)), "us_per_million": short(next(found))} for search in MANY
    }
    codes, meter = (short(us) for us in found)
    return {"codes_us_per_million": codes, "meter_us": meter, "reading": reading, "choosing": choosing}


def dense(rows: Sequence[Measured]) -> dict[str, float]:
    """Fit one backend of dense attention."""
    return _reading(_fit([row.reading for row in rows], rows, (0, 0, 1)))


def launched(rows: Sequence[Measured], fixed_us: float) -> dict[str, float]:
    """Fit methods in PyTorch; where none was measured, take a latency and the share that is assumed."""
    latency, us = _fit([row.launched for row in rows], rows, (0, 1)) if rows else (fixed_us, 1 / TORCH_SHARE)
    return {"fixed_us": short(latency), "chain_us_per_kb": 0.0, "share": _share(us)}


def kernels_alone(passes: dict[str, Any], weights_share: float, prefill_share: float) -> TimeModel:
    """Return the model of kernels alone."""
    reading, choosing = Reading(**passes["reading"]), Choosing.of(passes["choosing"])
    beside = passes["codes_us_per_million"], passes["meter_us"]
    return TimeModel(weights_share, prefill_share, 0.0, reading, choosing, reading, {}, *beside)


def _fit(terms: Sequence[Sequence[float]], rows: Sequence[Measured], least: Sequence[int]) -> list[float]:
    """Fit factors of the terms, each at least so large, by least squares of relative errors: 1 where bytes are."""
    relative, below = np.array(terms) / np.array([[row.us] for row in rows]), np.array(least, dtype=float)
    above, _ = nnls(relative, np.ones(len(rows)) - relative @ below)
    return [float(factor) for factor in below + above]


def _reading(factors: Sequence[float]) -> dict[str, float]:
    fixed, chain, us = factors
    return {"fixed_us": short(fixed), "chain_us_per_kb": short(chain), "share": _share(us)}


def _share(us: float) -> float:
    """Return the share of the bandwidth at which what should take 1 us takes so many."""
    return short(1 / us)


def short(value: float) -> float:
    """Round to four digits."""
    return float(f"{value:.4g}")
