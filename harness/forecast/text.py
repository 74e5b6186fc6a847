"""Lays out sizes and hours of jobs as text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.forecast.device import DEVICES, MEASURED, Device
from harness.forecast.time_model import TimeModel
from harness.forecast.workload import Workload

GIB = 1 << 30
Job = Mapping[Device, Workload]
"""One job on every device: how it is cut into batches depends on the memory."""


def sizes_and_hours(jobs: Sequence[Job]) -> str:
    """Lay out the size of every job and their sum, the hours of every device for all of them, and footnotes."""
    time = TimeModel.stored()
    prices = ["", *_hours(jobs, time), "", *_methods(jobs, time), *_footnotes(time)]
    lines = [*_sizes([of[MEASURED] for of in jobs]), *prices]
    return "".join(f"{line}\n" for line in lines)


def _sizes(jobs: Sequence[Workload]) -> list[str]:
    """Write a line per job, and their sum; KV memory is that of the largest example and of the largest batch."""
    total = f"{len(jobs)} jobs"
    width = max(len(total), *(len(job.name) for job in jobs))
    head = f"{'job':<{width}}  cells  examples  example runs  prefill tokens  decode tokens  KV/example   KV/batch"
    lines = [
        f"{job.name:<{width}}  {job.cells:>5}  {job.examples:>8,}  {job.runs:>12,}  {job.prefill_tokens:>14,}  "
        f"{job.decode_tokens:>13,}  {job.example_bytes / GIB:>6.3f} GiB  {job.batch_bytes / GIB:>4.1f} GiB"
        for job in jobs
    ]
    cells, examples, runs, prefill, decode = (
        sum(getattr(job, name) for job in jobs)
        for name in ("cells", "examples", "runs", "prefill_tokens", "decode_tokens")
    )
    return [head, *lines, f"{total:<{width}}  {cells:>5}  {examples:>8,}  {runs:>12,}  {prefill:>14,}  {decode:>13,}"]


def _hours(jobs: Sequence[Job], time: TimeModel) -> list[str]:
    """Write every device's hours for all jobs, and what a prefill per cell in place of the shared one would take."""
    lines = ["one device     hours  of it prefill  kernels alone  a prefill per cell"]
    for device in DEVICES:
        found = [of[device].hours(time, device) for of in jobs]
        prefill, unshared = sum(one.prefill for one in found), sum(one.prefill_per_cell for one in found)
        decoding, kernels = sum(one.decoding for one in found), sum(one.kernels for one in found)
        both, alone = prefill + decoding, unshared + decoding
        lines.append(
            f"{device.name:<10} {both:>9.3f}  {prefill:>13.3f}  {prefill + kernels:>13.3f}  {alone:>11.3f}, "
            f"{alone / both:.1f}x"
        )
    return lines


def _methods(jobs: Sequence[Job], time: TimeModel) -> list[str]:
    """Write every method's hours of decoding on every device, and what computes its attention on a GPU."""
    ways: dict[str, set[bool]] = {}
    for job in jobs:
        for name, found in job[MEASURED].by_kernel.items():
            ways[name] = ways.get(name, set()) | found
    width = max(len("decoding under"), *map(len, ways))
    hours = {device: [job[device].hours_by_method(time, device) for job in jobs] for device in DEVICES}
    lines = [f"{'decoding under':<{width}}" + "".join(f"  {device.name:>9}" for device in DEVICES) + "  attention by"]
    for name, found in ways.items():
        sums = (sum(of.get(name, 0.0) for of in hours[device]) for device in DEVICES)
        by = " and ".join(text for way, text in ((True, "kernel"), (False, "PyTorch (estimate)")) if way in found)
        lines.append(f"{name:<{width}}" + "".join(f"  {value:>9.3g}" for value in sums) + f"  {by}")
    return lines


def _footnotes(time: TimeModel) -> list[str]:
    return [
        f"Decoding is fitted on what `harness bench` measured on one {MEASURED.name} and one H100 (time_model.yaml); "
        "other devices are scaled by data-sheet bandwidth and FLOP/s.",
        f"hours: two steps of a batch are launched from Python, which added {time.call_us:.0f} us per cell and layer "
        "in the one sweep that was timed, the others are replayed; kernels alone: as if that cost nothing. Windows "
        "that slide are launched at every step.",
        "decoding under: hours under each method, the rest of the model shared evenly among the cells. PyTorch "
        f"(estimate): without a kernel, a method is launched in every layer of every step, {time.torch.fixed_us:.0f} "
        "us, and passes the whole cache; on a CPU every method is.",
        "engine.batch_tokens=auto fills each device's memory beside the weights with a batch, "
        f"KV/batch is that of an {MEASURED.name}.",
        f"A prefill at {time.prefill_share:.0%} of peak arithmetic is assumed, not measured. Start-up and scoring "
        "come on top; no generation is taken to end early.",
    ]
