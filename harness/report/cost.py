"""What reproducing figures would cost: example runs, tokens, bytes and GPU-hours, from the published prompt lengths.

Tokens and bytes are counts. Hours are those of the time model behind `harness plan`, without the model at hand: every
example is taken to have the mean length.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from harness.forecast.memory import SHARE
from harness.forecast.time_model import MEASURED, Decoding, Device, ModelSize, TimeModel
from harness.paths import asset
from harness.report.against.published import as_published, shapes
from harness.report.experiments import Load, Setting, loads, settings
from harness.report.recipes import Recipe

BYTES = 2
"""Per element, in half precision."""


def costs(recipes: Sequence[Recipe], device: Device = MEASURED) -> pd.DataFrame:
    """A line per experiment, model and task that the recipes need, each once."""
    wanted = dict.fromkeys(
        (recipe.experiment, model, task)
        for recipe in recipes
        if recipe.experiment
        for model in recipe.models
        for task in recipe.tasks
    )
    lines = [
        _cost(experiment, model, load, device)
        for experiment, model, task in wanted
        for load in loads(experiment, model, task)
    ]
    return pd.DataFrame(lines)


def told(lines: pd.DataFrame, device: Device = MEASURED) -> str:
    """The costs per experiment and model, and in all, as text."""
    shown = lines.groupby(["experiment", "model"], sort=False).sum(numeric_only=True)
    shown.loc[("all", ""), :] = shown.sum()
    hours = shown.pop("GPU-hours").map("{:,.1f}".format)
    table = shown.map("{:,.0f}".format).assign(**{"GPU-hours": hours})
    return (
        f"{table.to_string()}\n\nHours of one {device.name}, by the time model of `harness plan` (harness/forecast/"
        "time_model.yaml): one prefill per example, the cells of an example decoded side by side.\nDecoded tokens are "
        "upper bounds; KV bytes are those the methods move.\n"
    )


def _cost(experiment: str, model: str, load: Load, device: Device) -> dict[str, Any]:
    from harness.methods import find  # imports torch

    shape: dict[str, Any] = {"model": model, "mean_prompt_tokens": load.prompt, **shapes().loc[model]}
    cells = settings(experiment)
    reads = [(find(cell.method).about.access, BYTES * _moved(cell, shape)) for cell in cells]
    prefills = 1 + sum(1 for cell in cells if cell.knobs.get("mask_prefill"))
    seconds = _prefill_seconds(load, shape, prefills, device) + _decode_seconds(load, shape, reads, device)
    decoded = load.examples * load.new
    named = {"experiment": experiment, "model": model, "task": load.task, "cells": len(cells)}
    tokens = {"example runs": load.examples * len(cells), "prefill tokens": load.examples * load.prompt * prefills}
    tokens |= {"decoded tokens": decoded * len(cells), "KV gigabytes": decoded * sum(read for _, read in reads) / 1e9}
    return named | tokens | {"GPU-hours": seconds / 3600}


def _moved(cell: Setting, shape: Mapping[Any, Any]) -> float:
    """Count the elements that a token moves over all layers."""
    from harness.methods.ratio import dense_transfers  # imports torch

    scale, n, d = float(shape["layers"] * shape["kv_heads"]), shape["mean_prompt_tokens"], shape["head_dim"]
    if cell.ratio is not None:
        return scale * dense_transfers(n, d) / cell.ratio
    return scale * as_published(cell.method, shape, **cell.knobs).transfers(n, d)


def _prefill_seconds(load: Load, shape: Mapping[Any, Any], prefills: int, device: Device) -> float:
    """Two operations per weight and token, and half of QK' and of the product with V."""
    attention = 2 * load.prompt**2 * shape["layers"] * shape["heads"] * shape["head_dim"]
    flops = 2 * shape["parameters"] * load.prompt + attention
    return load.examples * prefills * TimeModel.stored().prefill_seconds(device, flops)


def _decode_seconds(load: Load, shape: Mapping[Any, Any], reads: Sequence[tuple[str, float]], device: Device) -> float:
    """As many batches as the examples fill, of one kind."""
    model, size = TimeModel.stored(), ModelSize(shape["parameters"], shape["layers"], shape["kv_heads"], BYTES)
    rows = max(1, int(_batch_tokens(shape, device) // (load.prompt + len(reads) * load.new)))
    steps = load.new - 1  # the first token comes from the prefill
    batch = Decoding(steps, rows, reads)
    return load.examples / rows * batch.seconds(model, device, size)


def _batch_tokens(shape: Mapping[Any, Any], device: Device) -> float:
    """As many as the engine puts into a batch by default; `auto`: what the device holds of KV cache beside weights.

    That is somewhat more than the engine takes, which leaves room for activations too: their sizes were not published.
    """
    config = yaml.safe_load((asset("conf") / "config.yaml").read_text(encoding="utf-8"))
    asked = config["engine"]["batch_tokens"]
    cached = 2 * BYTES * shape["layers"] * shape["kv_heads"] * shape["head_dim"]
    return SHARE * (device.memory - BYTES * shape["parameters"]) / cached if asked == "auto" else float(asked)
