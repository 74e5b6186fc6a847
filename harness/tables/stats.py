"""Computes standard errors, and paired differences to dense with a 95% interval."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import bootstrap

RESAMPLES = 9999
FEW_VALUES = 64
MANY_EXAMPLES = 5000
FEWER_RESAMPLES = 999
BATCH = 500


@dataclass(frozen=True)
class Difference:
    """Holds a mean paired difference, its standard error, and a 95% percentile-bootstrap interval over examples."""

    mean: float
    stderr: float
    low: float
    high: float


def stderr(values: NDArray[Any]) -> float:
    """Compute the standard error of the mean from the sample variance; NaN for a single value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def paired_difference(values: NDArray[Any], dense: NDArray[Any]) -> Difference:
    """Compare values[i] with dense[i] on the same examples i.

    Resampling is seeded: the same data give the same interval. There is none for fewer than two examples.
    """
    difference = np.asarray(values, float) - np.asarray(dense, float)
    mean = float(difference.mean()) if len(difference) else math.nan
    if len(difference) < 2 or not np.isfinite(difference).all():
        return Difference(mean, math.nan, math.nan, math.nan)
    return Difference(mean, stderr(difference), *_interval(difference, np.random.default_rng(0)))


class _Interval(NamedTuple):
    low: float
    high: float


def _interval(difference: NDArray[Any], rng: np.random.Generator) -> _Interval:
    """Compute the 95% percentile bootstrap of the mean.

    Scores such as 0 and 1 differ in few values, and how often a resample holds each is multinomial: the same
    distribution without drawing every example. Of many other examples, fewer resamples pin the interval down as well.
    """
    values, counts = np.unique(difference, return_counts=True)
    if len(values) <= FEW_VALUES:
        means = rng.multinomial(len(difference), counts / len(difference), RESAMPLES) @ values / len(difference)
        low, high = np.percentile(means, [2.5, 97.5])
        return _Interval(float(low), float(high))
    resamples = RESAMPLES if len(difference) <= MANY_EXAMPLES else FEWER_RESAMPLES
    found = bootstrap((difference,), np.mean, n_resamples=resamples, batch=BATCH, method="percentile", rng=rng)
    return _Interval(float(found.confidence_interval.low), float(found.confidence_interval.high))
