"""What reproducing figures would cost: example runs, tokens, bytes and GPU-hours, from the published prompt lengths.

Tokens and bytes are counts; hours come from two peak numbers and two shares of them, and are an order of magnitude.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from harness.errors import InputError
from harness.paths import asset
from harness.report.against.published import elements, published
from harness.report.recipes import Recipe

NEW_TOKENS = {"squad": 30, "triviaqa": 30, "cnn_dailymail": 128, "wikitext": 120, "repetition": 128}
"""Upper bounds of decoded tokens per example: the tasks' limits; about 400 characters for WikiText."""
BYTES = 2
"""Per element, in half precision."""


@dataclass(frozen=True)
class Accelerator:
    """Peak FLOP/s and bytes/s of a chip and the shares of them that prefill and decoding are taken to reach."""

    name: str = "H100 SXM"
    flops: float = 989e12
    bandwidth: float = 3.35e12
    flops_share: float = 0.4
    bandwidth_share: float = 0.4
    rows: int = 32
    """Sequences decoded side by side, which share one reading of the weights."""


def costs(recipes: Sequence[Recipe], chip: Accelerator) -> pd.DataFrame:
    """A line per experiment, model and task that the recipes need, each once."""
    wanted = dict.fromkeys(
        (recipe.experiment, model, task)
        for recipe in recipes
        if recipe.experiment
        for model in recipe.models
        for task in recipe.tasks
    )
    points = {(point["model"], point["task"]): point for point in published().to_dict("records")}
    return pd.DataFrame([_cost(*need, points[need[1:]], chip) for need in wanted])


def cells_of(experiment: str) -> list[tuple[str, dict[str, Any]]]:
    """(method, knobs) of each cell of an experiment whose knobs are all set: a list makes a cell of each value."""
    file = asset("conf") / "experiment" / f"{experiment}.yaml"
    if not Path(file).exists():
        raise InputError(f"no experiment '{experiment}' in conf/experiment/")
    config = yaml.safe_load(file.read_text(encoding="utf-8"))
    knobs = config.get("method", {})
    return [(method, told) for method in config["methods"] for told in _combinations(knobs.get(method, {}))]


def told(lines: pd.DataFrame, chip: Accelerator) -> str:
    """The costs per experiment and model, and in all, as text."""
    shown = lines.groupby(["experiment", "model"], sort=False).sum(numeric_only=True)
    shown.loc[("all", ""), :] = shown.sum()
    whole = [name for name in shown.columns if name != "GPU-hours"]
    table = (
        shown[whole]
        .map(lambda value: f"{value:,.0f}")
        .assign(**{"GPU-hours": shown["GPU-hours"].map("{:,.1f}".format)})
    )
    return (
        f"{table.to_string()}\n\nAn estimate for one {chip.name}: one prefill per example at {chip.flops_share:.0%} of "
        f"{chip.flops / 1e12:g} TFLOP/s; decoding at {chip.bandwidth_share:.0%} of {chip.bandwidth / 1e12:g} TB/s, "
        f"{chip.rows} sequences side by side. Decoded tokens are upper bounds; KV bytes are those the methods move.\n"
    )


def _cost(experiment: str, model: str, task: str, point: Mapping[Hashable, Any], chip: Accelerator) -> dict[str, Any]:
    """`point` is any published point of the model and task: it has the shape of the one and the length of the other."""
    cells, n, s = cells_of(experiment), int(point["n"]), float(point["mean_prompt_tokens"])
    decoded = n * NEW_TOKENS[task]
    kv = sum(_moved(method, knobs, point) for method, knobs in cells) * decoded * BYTES
    weights = BYTES * point["parameters"] * decoded * len(cells) / chip.rows
    prefill = n * s * (1 + sum(1 for _, knobs in cells if knobs.get("mask_prefill")))
    seconds = 2 * point["parameters"] * prefill / (chip.flops * chip.flops_share)
    seconds += (kv + weights) / (chip.bandwidth * chip.bandwidth_share)
    named = {"experiment": experiment, "model": model, "task": task, "cells": len(cells)}
    tokens = {"example runs": n * len(cells), "prefill tokens": prefill, "decoded tokens": decoded * len(cells)}
    return named | tokens | {"KV gigabytes": kv / 1e9, "GPU-hours": seconds / 3600}


def _moved(method: str, knobs: dict[str, Any], point: Mapping[Hashable, Any]) -> float:
    """Elements per token over all layers; a random projection reads as much as SparQ's channels."""
    line: dict[Hashable, Any] = dict(point)
    line.update(knobs, method="sparq" if method == "low_rank" else method)
    return float(point["layers"] * point["kv_heads"] * elements(line))


def _combinations(knobs: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    listed = [value if isinstance(value, list) else [value] for value in knobs.values()]
    return (dict(zip(knobs, values, strict=True)) for values in itertools.product(*listed))
