"""Sums up how far a cell's predictions lie from dense's in one example, over all of its requests."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.store.records import Record
from harness.tables.columns import DRAFTS

MEANS = ("kl", "agreement", "lost")


def divergence(records: Sequence[Record]) -> dict[str, float]:
    """Average over the decode steps of all requests, and over their rounds of drafting; NaN where there is none."""
    known = [record.divergence for record in records if record.divergence is not None]
    steps = [found.steps for found in known]
    means = {name: _mean([getattr(found, name) for found in known], steps) for name in MEANS}
    drafts = {length: [found.drafts.get(str(length), (0, 0)) for found in known] for length in DRAFTS}
    return means | {f"accepted_{length}": _accepted(counted) for length, counted in drafts.items()}


def _accepted(drafts: Sequence[Sequence[int]]) -> float:
    """Divide the tokens that were accepted by the rounds; `drafts` holds rounds and tokens of each request."""
    rounds = sum(of for of, _ in drafts)
    return sum(tokens for _, tokens in drafts) / rounds if rounds else math.nan


def _mean(values: Sequence[float], weights: Sequence[int]) -> float:
    total = sum(weights)
    return sum(value * weight for value, weight in zip(values, weights, strict=True)) / total if total else math.nan
