"""Bounds the mean of few examples without assuming how they are distributed: an interval, and the p-value of no effect.

Weights drawn from a flat Dirichlet say how much of the population each example seen stands for, and one more that was
not seen and lies at an end of the range. The 97.5% quantile of the weighted mean is the upper limit (Gaffke: Three test
statistics for a nonparametric one-sided hypothesis on the mean of a nonnegative variable, Mathematical Methods of
Statistics 14, 2005). Of wins and losses, the interval leaves 0 out where McNemar's exact test rejects; of losses alone,
its lower limit is Clopper and Pearson's. docs/statistics.md has its coverage.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

Array = NDArray[np.float64]
TAIL = 0.025
"""The chance that either limit may miss by: 95% for both."""
PRECISION = 1e-7
"""Relative error of a limit, as a share of the range."""
STEP = 0.1
FIRST = 1e-4
"""Frequencies of the inversion begin here, where the root mean square of the weighted sum is 1; STEP is of their
logarithm. Half the step and half the beginning change no probability by 1e-8."""
NEGLIGIBLE = 40.0
"""Of a factor exp(-x): beyond it nothing is summed."""
CERTAIN = 12.0
"""Standard deviations beyond which the sign of a sum is taken as certain."""
LEAST = 5e-10
"""A tail that the inversion still tells from none."""
TOGETHER = 256
"""Values that are worked on at once."""


@dataclass(frozen=True)
class Sample:
    """Holds the values that were seen, each once with its count, and the ends between which an unseen one may lie."""

    values: Array
    counts: Array
    low: float
    high: float

    @classmethod
    def of(cls, seen: NDArray[Any], low: float, high: float) -> Sample:
        """Count the values seen, which lie between the ends."""
        values, counts = np.unique(np.asarray(seen, float), return_counts=True)
        return cls(values, counts.astype(float), low, high)

    def interval(self) -> tuple[float, float]:
        """Find the limits between which the mean lies at a confidence of 95%."""
        mean = float(self.values @ self.counts / self.counts.sum())
        low = self._root(lambda point: self._at_most(point, self.low) - TAIL, self.low, mean)
        return low, self._root(lambda point: self._at_most(point, self.high) - (1 - TAIL), mean, self.high)

    def p_value(self, mean: float = 0.0) -> float:
        """Find the least level at which a two-sided interval leaves a mean out; below 1e-9 it is 1e-9."""
        tails = self._at_most(mean, self.low), 1 - self._at_most(mean, self.high)
        return min(1.0, 2 * max(LEAST, min(tails)))

    def _at_most(self, point: float, unseen: float) -> float:
        """Compute the probability that the weighted mean of the values seen and one unseen is at most `point`."""
        return _not_positive(np.append(self.values, unseen) - point, np.append(self.counts, 1.0))

    def _root(self, excess: Callable[[float], float], low: float, high: float) -> float:
        """Find where a rising function crosses 0; the end that it does not reach where it crosses nowhere."""
        if excess(low) >= 0:
            return low
        if excess(high) <= 0:
            return high
        return float(brentq(excess, low, high, xtol=PRECISION * (self.high - self.low), rtol=1e-12))


def _not_positive(values: Array, counts: Array) -> float:
    """Compute P(sum_i values_i G_i <= 0), G_i gamma-distributed with shape counts_i.

    The sign of a sum under Dirichlet weights is that of this one, whose characteristic function is a product: it is
    inverted (Gil-Pelaez, Biometrika 38, 1951) by a sum over the logarithm of the frequency.
    """
    size = float(np.sqrt(counts @ values**2))
    mean = float(counts @ values) / size if size else 0.0
    if size == 0 or abs(mean) > CERTAIN:
        return 1.0 if mean <= 0 else 0.0
    frequency = _frequencies(values / size, counts)
    angle, decay = np.zeros_like(frequency), np.zeros_like(frequency)
    for start in range(0, len(values), TOGETHER):
        part, count = values[start : start + TOGETHER] / size, counts[start : start + TOGETHER]
        reach = np.multiply.outer(frequency, part)
        angle += np.arctan(reach) @ count
        decay += np.log1p(reach**2) @ count / 2
    lower = mean * FIRST / math.expm1(STEP)  # below the first frequency the terms fall like it: a geometric series
    return 0.5 - STEP * (float(np.sin(angle) @ np.exp(-decay)) + lower) / math.pi


def _frequencies(values: Array, counts: Array) -> Array:
    """Choose frequencies up to where the characteristic function has vanished."""
    last = FIRST
    while counts @ np.log1p((values * last) ** 2) / 2 < NEGLIGIBLE:
        last *= 2
    chosen: Array = np.exp(np.arange(math.log(FIRST), math.log(last), STEP))
    return chosen
