"""`harness plan`: what a sweep will cost, as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from harness.errors import InputError
from harness.forecast.estimate import Estimate, estimate
from harness.forecast.time_model import DEVICES, MEASURED, Device, TimeModel
from harness.hf import ModelSpec, find
from harness.sweep.job import Job
from harness.sweep.prepare import prepare

GIB = 1 << 30
HOUR = 3600
OFFLINE = "a model's size is read from its configuration, here or on the hub; model=llama-2-7b-shape needs neither"


def told(configs: Iterable[Mapping[str, Any]]) -> str:
    """Size and cost of the jobs that some composed configurations describe.

    A job that cannot be prepared is named with its reason. Raises InputError if none can.
    """
    estimates: list[Mapping[Device, Estimate]] = []
    refused: list[str] = []
    hopeless: dict[ModelSpec, InputError] = {}
    for job in map(Job.of, configs):
        try:
            prepared = prepare(_with_model(job, hopeless))
            estimates.append({device: estimate(prepared, device) for device in DEVICES})
        except InputError as error:
            refused.append(f"{job.model.name} on {job.task.name}: {error}")
    if not estimates:
        raise InputError(f"no job can be planned: {'; '.join(refused)} ({OFFLINE})")
    lines = [*_sizes([of[MEASURED] for of in estimates]), "", *_hours(estimates, TimeModel.stored())]
    lines += [f"cannot be planned: {reason}" for reason in refused] + [OFFLINE] * bool(refused)
    return "".join(f"{line}\n" for line in lines)


def _with_model(job: Job, hopeless: dict[ModelSpec, InputError]) -> Job:
    """The job, if its model can be had; of a model that cannot, no second job waits for the hub to say so."""
    if job.model in hopeless:
        raise hopeless[job.model]
    try:
        find(job.model)
    except InputError as error:
        hopeless[job.model] = error
        raise
    return job


def _sizes(estimates: Sequence[Estimate]) -> list[str]:
    """A line per job, and their sum; KV memory of the largest example, and of the largest batch under all cells."""
    total = f"{len(estimates)} jobs"
    width = max(len(total), *(len(one.name) for one in estimates))
    head = f"{'job':<{width}}  cells  examples  example runs  prefill tokens  decode tokens  KV/example   KV/batch"
    lines = [
        f"{one.name:<{width}}  {one.cells:>5}  {one.examples:>8,}  {one.runs:>12,}  {one.prefill_tokens:>14,}  "
        f"{one.decode_tokens:>13,}  {one.example_bytes / GIB:>6.3f} GiB  {one.batch_bytes / GIB:>4.1f} GiB"
        for one in estimates
    ]
    cells, examples, runs, prefill, decode = (
        sum(getattr(one, name) for one in estimates)
        for name in ("cells", "examples", "runs", "prefill_tokens", "decode_tokens")
    )
    return [head, *lines, f"{total:<{width}}  {cells:>5}  {examples:>8,}  {runs:>12,}  {prefill:>14,}  {decode:>13,}"]


def _hours(jobs: Sequence[Mapping[Device, Estimate]], model: TimeModel) -> list[str]:
    """Hours of every device for all jobs, and what a prefill per cell would cost in place of the shared one."""
    lines = ["one device     hours  of it prefill  kernels alone  a prefill per cell"]
    for device in DEVICES:
        estimates = [of[device] for of in jobs]
        prefill = sum(one.prefills * one.prefill_seconds(model, device) for one in estimates) / HOUR
        unshared = sum(one.cells * one.prefill_seconds(model, device) for one in estimates) / HOUR
        decode = sum(one.decode_seconds(model, device) for one in estimates) / HOUR
        kernels = sum(one.kernel_seconds(model, device) for one in estimates) / HOUR
        both, alone = prefill + decode, unshared + decode
        lines.append(
            f"{device.name:<10} {both:>9.3f}  {prefill:>13.3f}  {prefill + kernels:>13.3f}  {alone:>11.3f}, "
            f"{alone / both:.1f}x"
        )
    return [*lines, *_footnotes(model)]


def _footnotes(model: TimeModel) -> list[str]:
    return [
        f"Decoding is fitted on what `harness bench` measured on one {MEASURED.name} (time_model.yaml); "
        "other devices are scaled by data-sheet bandwidth and FLOP/s.",
        f"hours: two steps of a batch are launched from Python, which added {model.call_us:.0f} us per cell and layer "
        "in the one sweep that was timed, the others are replayed; kernels alone: as if that cost nothing. Methods "
        "without a kernel, and windows that slide, are launched at every step.",
        "engine.batch_tokens=auto fills each device's memory beside the weights with a batch, "
        f"KV/batch is that of an {MEASURED.name}.",
        f"A prefill at {model.prefill_share:.0%} of peak arithmetic is assumed, not measured. Start-up and scoring "
        "come on top; no generation is taken to end early.",
    ]
