"""Mean, standard error and paired difference of hand-made scores, written out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd


@np.errstate(invalid="ignore")
def moments(values: Sequence[float], dense: Sequence[float] | None) -> dict[str, float]:
    """The numbers of a summary line; the interval of the difference is two standard errors wide to each side.

    Its p-value is that of the normal distribution, 1 where nothing differs.
    """
    scores = np.array(values, float)
    line = {"value": pd.Series(scores).mean(), "n": len(scores), "stderr": _stderr(scores)}
    if dense is None or len(dense) != len(scores):
        return line
    gap = scores - np.array(dense, float)
    line["delta_dense"] = float(gap.mean())
    if len(gap) > 1:
        half = 2 * _stderr(gap)
        ends = {"delta_ci_low": line["delta_dense"] - half, "delta_ci_high": line["delta_dense"] + half}
        line |= {"delta_stderr": half / 2, **ends, "delta_p": _p_value(line["delta_dense"], half / 2)}
    return line


def _p_value(mean: float, stderr: float) -> float:
    return math.erfc(abs(mean) / stderr / math.sqrt(2)) if stderr else float(mean == 0)


def _stderr(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / math.sqrt(len(values))) if len(values) > 1 else math.nan
