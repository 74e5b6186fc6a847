"""The published points, with their transfers in true elements and their errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

HERE = Path(__file__).parent
METRICS = {
    "squad": "match",
    "triviaqa": "match",
    "cnn_dailymail": "rougeL",
    "wikitext": "bits_per_character",
    "repetition": "match_characters",
}
"""The metric that was published for a task."""
READING_ERROR = {"match": 0.001, "rougeL": 0.0006, "bits_per_character": 0.0008, "match_characters": 1.1}
"""Largest error of a point read off a figure, in units of the metric."""


def shapes() -> pd.DataFrame:
    """Layers, KV heads, head_dim, parameters and settings of the paper's models, indexed by model."""
    return pd.read_csv(HERE / "published_models.csv", index_col="model")


def published(head_dims: dict[str, int] | None = None) -> pd.DataFrame:
    """All points, with `metric`, `elements` (per token, all KV heads and layers), `compression`, `reading_error` added.

    `stderr` is the printed one, else that of a share of n examples, else NaN. `head_dims` overrides true head sizes.
    """
    points = pd.read_csv(HERE / "published.csv").join(shapes(), on="model")
    points["head_dim"] = points["model"].map(head_dims or {}).fillna(points["head_dim"])
    lengths = points.groupby(["model", "task"])["mean_prompt_tokens"].transform("first")
    points["mean_prompt_tokens"] = points["mean_prompt_tokens"].fillna(lengths)
    points["metric"] = points["task"].map(METRICS)
    moved = [elements(line) for line in points.to_dict("records")]
    dense = [elements({**line, "method": "dense"}) for line in points.to_dict("records")]
    scale = points["layers"] * points["kv_heads"]
    points["elements"] = scale * moved
    points["compression"] = [d / m for d, m in zip(dense, moved, strict=True)]
    read = points["precision"] == "figure"
    points["reading_error"] = points["metric"].map(READING_ERROR).where(read, 0.0)
    points["stderr"] = points["stderr"].fillna(points.apply(_binomial, axis=1))
    return points


def elements(line: Mapping[Any, Any]) -> float:
    """Elements moved per decode step and KV head at the mean prompt length, by the paper's accounting."""
    s, d = line["mean_prompt_tokens"], line["head_dim"]
    k, r = line.get("k", math.nan), line.get("r", math.nan)
    costs = {
        "dense": 2 * s * d + 2 * d,
        "sparq": r * s + 2 * k * d + (5 if line["reallocate"] else 3) * d,
        "h2o": 2 * k * d + 2 * d + 2 * s + 1,
        "lm_infinite": 2 * k * d + 2 * d,
        "flexgen": s * d + k * d + 2 * d,
    }
    return float(costs[str(line["method"])])


def _binomial(line: Any) -> float:
    """Standard error of a share: exact for scores of 0 and 1, whose variance their mean gives."""
    if line["metric"] != "match":
        return math.nan
    return math.sqrt(line["score"] * (1 - line["score"]) / line["n"])
