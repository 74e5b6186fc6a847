"""Describes jobs as workloads, to forecast what they take: no weights are read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from harness.engine import Prompt
from harness.errors import InputError
from harness.evaluation.batches import Limits, batches
from harness.forecast.device import DEVICES, MEASURED, Device, Traffic
from harness.forecast.memory import Example
from harness.forecast.text import sizes_and_hours
from harness.forecast.transformer import Transformer
from harness.forecast.workload import Workload
from harness.hf import ModelSpec, find
from harness.methods.cell import Cell
from harness.methods.controls.dense import Dense
from harness.methods.ratio import Budget
from harness.sweep.batch_tokens import example_of, planned_batch_tokens, transformer_of
from harness.sweep.fit import describe_fit, find_fit
from harness.sweep.job import Job
from harness.sweep.prepare import Prepared, prepare
from harness.sweep.traffic import may_run_by_kernels, traffic_of
from harness.tables.text import is_away, reached, setting

OFFLINE = "a model's size is read from its configuration, here or on the hub; model=llama-2-7b-shape needs neither"


def forecast(configs: Iterable[Mapping[str, Any]]) -> str:
    """Lay out size and hours of the jobs that some composed configurations describe.

    A job that cannot be prepared is named with its reason. Raises InputError if none can.
    """
    jobs: list[Mapping[Device, Workload]] = []
    refused: list[str] = []
    remarks: list[str] = []
    unreachable: dict[ModelSpec, InputError] = {}
    for job in map(Job.of, configs):
        try:
            _check_reachable(job.model, unreachable)
            prepared = prepare(job)
            jobs.append({device: workload_of(prepared, device) for device in DEVICES})
            remarks += [*describe_fit(prepared), *_remarks(prepared)]
        except InputError as error:
            refused.append(f"{job.model.name} on {job.task.name}: {error}")
    if not jobs:
        hint = f" ({OFFLINE})" if unreachable else ""
        raise InputError(f"no job can be planned: {'; '.join(refused)}{hint}")
    lines = [f"cannot be planned: {reason}" for reason in refused] + [OFFLINE] * bool(unreachable)
    return sizes_and_hours(jobs) + "".join(f"{line}\n" for line in [*remarks, *lines])


def workload_of(prepared: Prepared, device: Device = MEASURED) -> Workload:
    """Describe a prepared job. With engine.batch_tokens=auto, batches are what a device holds beside the weights."""
    job, cells, model = prepared.job, prepared.plan.cells, transformer_of(prepared.checkpoint)
    examples = [example_of(prompt) for prompt in prepared.prompts]
    tokens = _batch_tokens(prepared, model, examples, device)
    cut = batches(prepared.prompts, cells, Limits(tokens, job.engine.batch_size))
    name = f"{job.model.name} on {job.task.name}"
    further = compared(cells, prepared.prompts) if job.divergence else []
    batched = [[example_of(prompt) for prompt in batch] for batch in cut]
    return workload(name, model, cells, batched, further, may_run_by_kernels(job.engine, model))


def _batch_tokens(prepared: Prepared, model: Transformer, examples: Sequence[Example], device: Device) -> int:
    """Return what a batch holds on one device, or on as many as hold a model whose layers are to be spread."""
    job, cells = prepared.job, prepared.plan.cells
    spread = find_fit(prepared, device) if job.model.device_map and job.engine.batch_tokens == "auto" else None
    if spread:
        return spread.batch_tokens
    return planned_batch_tokens(job.engine, model, examples, device.memory - model.weight_bytes, cells, job.divergence)


def compared(cells: Sequence[Cell], prompts: Sequence[Prompt]) -> list[list[Cell]]:
    """List the cells of the further passes of a comparison with dense: dense's own tokens, then all along them.

    Dense's tokens are there already where its outputs are the likeliest ones. Beside each prefill of a cell's own, and
    beside all others together, dense is fed them too.
    """
    dense = Cell.of("dense", Dense(), 1.0)
    others = [cell for cell in cells if not cell.is_dense]
    own = [cell for cell in others if cell.method_at(len(prompts[0].tokens)).own_prefill]
    is_greedy = len(others) < len(cells) and all(prompt.forced is None and prompt.rule is None for prompt in prompts)
    return [*([] if is_greedy else [[dense]]), [dense, *others, *[dense] * len(own)]]


def workload(
    name: str,
    model: Transformer,
    cells: Sequence[Cell],
    cut: Sequence[Sequence[Example]],
    further: Sequence[Sequence[Cell]] = (),
    kernels: bool = True,
) -> Workload:
    """Describe batches of examples that a model decodes under some cells, and once more under each of the `further`.

    `kernels` says that methods with a kernel run by it where there is a GPU.
    """
    masking = sum(cell.method_at(cut[0][0].prompt).own_prefill for cell in cells)
    shares = masking < len(cells) or len(further) > 0

    def reads(n: int, of: Sequence[Cell] = cells) -> list[Traffic]:
        return [traffic_of(cell.name, cell.method_at(n), model.layers, n, model.element, kernels) for cell in of]

    more = [partial(reads, of=of) for of in further]
    return Workload(name, model, cut, len(cells), masking + shares, reads, more)


def _remarks(prepared: Prepared) -> Iterator[str]:
    """Say what a job skips, and which of its cells will not be at the ratio that they were solved for."""
    name, layers = f"{prepared.job.model.name} on {prepared.job.task.name}", prepared.checkpoint.layers
    lengths = Counter(len(prompt.tokens) for prompt in prepared.prompts)
    for reason in dict.fromkeys(skip.reason for skip in prepared.plan.skipped):
        yield f"{name}: skipped: {reason}"
    for cell in prepared.plan.cells:
        ratio = cell.ratio or math.nan
        own, dense = (
            sum(count * Budget(1, n, layers, cell.bounds).spent(method(n)) for n, count in lengths.items())
            for method in (cell.method_at, lambda _: Dense())
        )
        if cell.per and is_away(dense / own, ratio):
            what = "memory ratio" if cell.bounds == "held" else "ratio"
            at = reached({"compression": dense / own, "ratio": ratio})
            yield f"{name}: {cell.name} {setting(cell.params_at(lengths))} is at {what} {at}"


def _check_reachable(model: ModelSpec, unreachable: dict[ModelSpec, InputError]) -> None:
    """Raise InputError for a model that cannot be had; no second job waits for the hub to say so."""
    if model in unreachable:
        raise unreachable[model]
    try:
        find(model)
    except InputError as error:
        unreachable[model] = error
        raise
