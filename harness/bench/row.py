"""One line of `harness bench generate`, and how lines compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Row:
    """One measurement. Times in ms per step of the whole batch; model_ms is bytes over the measured copy bandwidth."""

    model: str
    dtype: str
    batch: int
    seq: int
    method: str
    params: str
    backend: str
    compression: float
    ms_per_token: float
    p10_ms: float
    p90_ms: float
    tokens_per_second: float
    attention_ms: float
    rest_ms: float
    model_ms: float
    how: str


def best_dense(rows: Sequence[Row]) -> dict[tuple[int, int], float]:
    """ms per token of the fastest dense backend of PyTorch's own, by (batch, seq)."""
    best: dict[tuple[int, int], float] = {}
    for row in rows:
        if row.method == "dense" and row.backend != "triton":
            best[row.batch, row.seq] = min(row.ms_per_token, best.get((row.batch, row.seq), math.inf))
    return best


def as_records(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Rows with the speed-up over the best dense of the same shape."""
    best = best_dense(rows)
    nan = math.nan
    return [asdict(r) | {"speedup": best.get((r.batch, r.seq), nan) / r.ms_per_token} for r in rows]
