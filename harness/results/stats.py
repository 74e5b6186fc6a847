"""Means with error bars, and paired differences to dense with a 95% interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

RESAMPLES = 9999
BATCH = 500


@dataclass(frozen=True)
class Difference:
    """Mean paired difference, its standard error, and a 95% percentile-bootstrap interval over examples."""

    mean: float
    stderr: float
    low: float
    high: float


def stderr(values: NDArray[Any]) -> float:
    """Standard error of the mean from the sample variance; NaN for a single value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def paired_difference(values: NDArray[Any], dense: NDArray[Any]) -> Difference:
    """Of values[i] - dense[i] on the same examples i. Resampling is seeded: the same data give the same interval."""
    difference = np.asarray(values, float) - np.asarray(dense, float)
    mean = float(difference.mean()) if len(difference) else math.nan
    if len(difference) < 2 or not np.isfinite(difference).all():
        return Difference(mean, math.nan, math.nan, math.nan)
    found = bootstrap(
        (difference,), np.mean, n_resamples=RESAMPLES, batch=BATCH, method="percentile", rng=np.random.default_rng(0)
    )
    low, high = found.confidence_interval
    return Difference(mean, stderr(difference), float(low), float(high))
