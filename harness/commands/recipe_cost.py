"""Counts what reproducing figures takes, from the published prompt lengths: every example has the mean length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from harness.attention import LayerShape
from harness.commands.compose import compositions
from harness.evaluation.tasks import most_new_tokens
from harness.forecast.device import MEASURED, Device
from harness.forecast.memory import Example
from harness.forecast.time_model import TimeModel
from harness.forecast.transformer import Transformer
from harness.forecast.workload import Workload
from harness.paths import asset
from harness.report.against.published import published, shapes
from harness.report.recipes import Recipe, sweeps
from harness.sweep.batch_tokens import planned_batch_tokens
from harness.sweep.job import Job
from harness.sweep.plan import make_plan
from harness.sweep.solving import solver_of
from harness.sweep.task_spec import TaskSpec
from harness.sweep.workload import workload

DEPTHS = 17
"""Examples of a needle task, unless it is told how many."""
BESIDE = 96
"""Tokens by which a needle prompt is shorter than its length: 128, less those of the question."""
FORCED = 400 / 6000
"""Characters that WikiText scores per character of the prompt before them: so it is with tokens."""


def costs(recipes: Sequence[Recipe], device: Device = MEASURED) -> pd.DataFrame:
    """Make a line for each experiment, model and task that the recipes need, each once. Raises InputError."""
    points = published()
    jobs = [(name, Job.of(config)) for name, given in sweeps(recipes).items() for config in compositions(given)]
    return pd.DataFrame([_line(experiment, job, _workload(job, points, device), device) for experiment, job in jobs])


def cost_text(lines: pd.DataFrame, device: Device = MEASURED) -> str:
    """Lay out the costs per experiment and model, and in all."""
    shown = lines.groupby(["experiment", "model"], sort=False).sum(numeric_only=True)
    shown.loc[("all", ""), :] = shown.sum()
    hours = shown.pop("GPU-hours").map("{:,.1f}".format)
    table = shown.map("{:,.0f}".format).assign(**{"GPU-hours": hours})
    return (
        f"{table.to_string()}\n\nHours of one {device.name}, as `harness plan` reckons them: one prefill per example "
        "for the cells that share it, the cells of an example decoded side by side.\nDecoded tokens are upper bounds; "
        "KV bytes are those the methods move.\n"
    )


def _line(experiment: str, job: Job, work: Workload, device: Device) -> dict[str, Any]:
    hours = work.hours(TimeModel.stored(), device)
    return {
        "experiment": experiment,
        "model": job.model.name,
        "task": job.task.name,
        "cells": work.cells,
        "example runs": work.runs,
        "prefill tokens": work.prefill_tokens,
        "decoded tokens": work.decode_tokens,
        "KV gigabytes": work.moved_bytes / 1e9,
        "GPU-hours": hours.prefill + hours.decoding,
    }


def _workload(job: Job, points: pd.DataFrame, device: Device) -> Workload:
    """Describe a job by its published size: as many batches as the examples fill, all of one length."""
    model, examples = published_model(job.model.name), _examples(job, points)
    prompt, decoded = examples[0]
    solver = solver_of(job.budget.per, tuple(model.layers), prompt, {prompt})
    cells = make_plan(job.methods, job.knobs, job.ratios, solver, job.memory_ratios).cells
    tokens = planned_batch_tokens(job.engine, model, examples[:1], device.memory - model.weight_bytes, cells)
    rows = max(1, tokens // (prompt + len(cells) * decoded))
    batches = [examples[start : start + rows] for start in range(0, len(examples), rows)]
    return workload(f"{job.model.name} on {job.task.name}", model, cells, batches)


def published_model(name: str) -> Transformer:
    """Return the shape of one of the paper's models, in half precision."""
    shape: dict[Any, Any] = shapes().loc[name].to_dict()
    widths = {key: shape[key] for key in ("hidden", "inner", "vocabulary", "heads", "matrices")}
    layer = LayerShape(shape["kv_heads"], shape["head_dim"], group=shape["heads"] // shape["kv_heads"])
    return Transformer([layer] * shape["layers"], **widths)


def _examples(job: Job, points: pd.DataFrame) -> list[Example]:
    """List the examples of a task for a model; those of a needle task follow from the length it is given."""
    length = job.task.arguments.get("length")
    if length is not None:
        return [_example(length - BESIDE, job.task)] * (job.task.arguments["depths"] or DEPTHS)
    point = points[(points["model"] == job.model.name) & (points["task"] == job.task.name)].iloc[0]
    return [_example(round(point["mean_prompt_tokens"]), job.task)] * int(point["n"])


def _example(prompt: int, task: TaskSpec) -> Example:
    assert task.yaml is not None
    return Example(prompt, most_new_tokens(task.yaml, asset("tasks") / "paper") or round(FORCED * prompt))
