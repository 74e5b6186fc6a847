"""Reads the published points, with their transfers by the methods' own accounting, and their errors."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from harness.report.methods import with_facts

if TYPE_CHECKING:
    from harness.methods import Method

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
    """Read shapes, widths, parameters and settings of the paper's models, indexed by model.

    A column METHOD.KNOB holds how the paper set a method's switch for a model.
    """
    return pd.read_csv(HERE / "published_models.csv", index_col="model")


def published(head_dims: dict[str, int] | None = None) -> pd.DataFrame:
    """Read all points, with `metric`, `elements`, `compression`, `reading_error` added.

    `elements` are those of a token over all KV heads and layers. `stderr` is the printed one, else that of a share of n
    examples, else NaN. `head_dims` overrides true head sizes.
    """
    from harness.methods.cost import dense_transfers  # imports torch

    points = pd.read_csv(HERE / "published.csv").join(shapes(), on="model")
    points["head_dim"] = points["model"].map(head_dims or {}).fillna(points["head_dim"])
    lengths = points.groupby(["model", "task"])["mean_prompt_tokens"].transform("first")
    points["mean_prompt_tokens"] = points["mean_prompt_tokens"].fillna(lengths)
    points["metric"] = points["task"].map(METRICS)
    lines = points.to_dict("records")
    moved = [method_of(line).transfers(line["mean_prompt_tokens"], line["head_dim"]) for line in lines]
    dense = [dense_transfers(line["mean_prompt_tokens"], line["head_dim"]) for line in lines]
    scale = points["layers"] * points["kv_heads"]
    points["elements"] = scale * moved
    points["compression"] = [d / m for d, m in zip(dense, moved, strict=True)]
    read = points["precision"] == "figure"
    points["reading_error"] = points["metric"].map(READING_ERROR).where(read, 0.0)
    points["stderr"] = points["stderr"].fillna(points.apply(_binomial, axis=1))
    return with_facts(points)


def method_of(point: Mapping[Any, Any]) -> Method[Any]:
    """Make the method of a point as the paper had it."""
    knobs = {knob: int(point[knob]) for knob in ("k", "r") if not math.isnan(point[knob])}
    return as_published(str(point["method"]), point, **knobs)


def as_published(name: str, model: Mapping[Any, Any], **knobs: Any) -> Method[Any]:
    """Make a method, switches that are not given set as the paper had them for a model: a line of `shapes`."""
    from harness.methods import create  # imports torch

    own = {column: on for column, on in model.items() if str(column).startswith(f"{name}.")}
    switches = {column.removeprefix(f"{name}."): bool(on) for column, on in own.items()}
    return create(name, **{**switches, **knobs})


def _binomial(line: Any) -> float:
    """Compute the standard error of a share: exact for scores of 0 and 1, whose variance their mean gives."""
    if line["metric"] != "match":
        return math.nan
    return math.sqrt(line["score"] * (1 - line["score"]) / line["n"])
