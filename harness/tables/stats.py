"""Computes standard errors, and paired differences to dense with a 95% interval and a p-value."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.tables.intervals import Sample

FEWEST = 4
"""Examples below which no interval is given: it would be wider than 0.7 to both sides for scores of 0 and 1."""
ENOUGH = 30
"""Examples from which differences themselves may say how far one that was not seen can lie."""
DISTINCT = 0.75
"""Share of differences that must be different numbers for that: else many are 0, or multiples of something."""
ROUNDING = 1e-6
"""Share of the scores' range below which two differences are the same number."""
LEVEL = 0.05
"""Chance of a mark where there is no difference, over all comparisons together."""


@dataclass(frozen=True)
class Difference:
    """Holds a mean paired difference, its standard error, its 95% interval and the p-value of no difference.

    What too few examples cannot have is NaN.
    """

    mean: float
    stderr: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p_value: float = math.nan


class _Ends(NamedTuple):
    """Holds the least and the greatest difference that an example which was not seen may have."""

    low: float
    high: float


def stderr(values: NDArray[Any]) -> float:
    """Compute the standard error of the mean from the sample variance; NaN for a single value."""
    return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan


def paired_difference(values: NDArray[Any], dense: NDArray[Any]) -> Difference:
    """Compare values[i] with dense[i] on the same examples i. Fewer than 4 have no interval and no p-value."""
    difference = np.asarray(values, float) - np.asarray(dense, float)
    mean = float(difference.mean()) if len(difference) else math.nan
    if not np.isfinite(difference).all():
        return Difference(mean)
    if len(difference) < FEWEST:
        return Difference(mean, stderr(difference))
    return Difference(mean, stderr(difference), *paired_sample(values, dense).interval(), p_value(values, dense))


def p_value(values: NDArray[Any], dense: NDArray[Any]) -> float:
    """Compute the p-value of no difference on the same examples; NaN for fewer than 4, or a score that is no number."""
    if len(values) < FEWEST or not np.isfinite(np.asarray(values, float) - np.asarray(dense, float)).all():
        return math.nan
    return paired_sample(values, dense).p_value()


def paired_sample(values: NDArray[Any], dense: NDArray[Any]) -> Sample:
    """Make the sample of differences whose mean is bounded: what was seen, and how far an unseen one may lie."""
    values, dense = np.asarray(values, float), np.asarray(dense, float)
    return Sample.of(values - dense, *_ends(np.concatenate([values, dense]), values - dense))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjust p-values for their number (Holm, Scandinavian Journal of Statistics 6, 1979); NaN is no comparison."""
    order = sorted((i for i, p in enumerate(p_values) if not math.isnan(p)), key=lambda i: p_values[i])
    adjusted, largest = [math.nan] * len(p_values), 0.0
    for rank, i in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[i]))
        adjusted[i] = largest
    return adjusted


def _ends(scores: NDArray[Any], difference: NDArray[Any]) -> _Ends:
    """Say how far the difference of an example that was not seen may lie.

    No further than the scores' range. Of many examples that all changed a little, no further beyond those seen than
    these lie apart.
    """
    reach = _range(scores)
    if len(difference) < ENOUGH or len(np.unique(np.round(difference / reach / ROUNDING))) < DISTINCT * len(difference):
        return _Ends(-reach, reach)
    spread = float(np.ptp(difference))
    return _Ends(max(-reach, float(difference.min()) - spread), min(reach, float(difference.max()) + spread))


def _range(scores: NDArray[Any]) -> float:
    """Return 1 for scores of 0 and 1, which may all be equal; else from the least seen, or 0, to the greatest, or 0."""
    if np.isin(scores, (0, 1)).all():
        return 1.0
    return float(max(0.0, scores.max()) - min(0.0, scores.min()))
