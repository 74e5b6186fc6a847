"""Decides which cells of a table may be marked, with Holm's correction for the number of cells compared."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pandas as pd

from harness.tables.stats import LEVEL, holm, p_value

LIKE_DENSE = "≈"
INTERVAL = "paired difference and its 95% interval, none below 4 examples (docs/statistics.md)"
HOW_KNOWN = {
    "measured": "its share of dense's transfers was counted over the decode steps of each example that has one",
    "simulated": "its choosing is charged as an index is said to read, which is not what was read here",
}
"""Words that stand beside a ratio which knobs and length alone do not tell, and what each means."""
DECIDED = "Decided by the first token: scores that no method can change, because the prefill gives that token"
MEANING = (
    f"{LIKE_DENSE}: not told apart from dense, at 5% over all cells of the table together (Holm). Few examples tell "
    "little apart: the interval says how much may be lost"
)


def like_dense(cells: pd.DataFrame) -> list[bool]:
    """Say of each cell of one task and metric whether a test compared it with dense and told no difference."""
    return [p > LEVEL for p in holm(list(cells["delta_p"].astype(float)))]


def best(scores: Mapping[str, pd.Series[Any]], higher_is_better: bool) -> set[str]:
    """Find the cells that may be called best: that of the best mean, and all that are not told apart from it.

    `scores` are those of each rival by example. All pairs count as compared, because the best is picked after the fact.
    Where no rival is told apart from the best, none is called best.
    """
    sign = 1 if higher_is_better else -1
    leader = max(scores, key=lambda cell: sign * scores[cell].mean(), default="")
    pairs = list(combinations(scores, 2))
    adjusted = holm([_compared(scores[one], scores[other]) for one, other in pairs])
    against = {cell: p for pair, p in zip(pairs, adjusted, strict=True) if leader in pair for cell in pair}
    if not any(p <= LEVEL for p in against.values()):
        return set()
    return {leader} | {cell for cell, p in against.items() if p > LEVEL}


def _compared(one: pd.Series[Any], other: pd.Series[Any]) -> float:
    """Compute the p-value of no difference on the examples that both have."""
    common = one.index.intersection(other.index)
    return p_value(one.loc[common].to_numpy(float), other.loc[common].to_numpy(float))
