"""`harness plan`: what a sweep will cost, from its prompts and a simple model of time; no weights are read."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness.config.job import Job
from harness.errors import InputError
from harness.grid.costs import transfers
from harness.jobs.prepare import Prepared, prepare

PREFILL_SHARE = 0.4
"""Of a device's peak arithmetic that a prefill reaches."""
DECODE_SHARE = 0.5
"""Of a device's memory bandwidth that decoding reaches."""
UNGATED = ("gpt_neox", "gpt2", "opt", "phi")
"""Architectures whose feed-forward layers have two matrices, the others have three."""
GIB = 1 << 30


@dataclass(frozen=True)
class Device:
    """Peak dense 16-bit arithmetic in FLOP/s and memory bandwidth in bytes/s, from the maker's data sheet."""

    name: str
    flops: float
    bandwidth: float


DEVICES = (
    Device("A100-80", 312e12, 2.0e12),
    Device("H100", 989e12, 3.35e12),
    Device("H200", 989e12, 4.8e12),
    Device("L40S", 362e12, 0.864e12),
)


@dataclass(frozen=True)
class Estimate:
    """The size of one job: example runs, tokens, bytes, and the arithmetic and traffic they cause.

    cache_bytes is the KV cache of the largest example with all its decoded tokens. prefill_flops counts one prefill per
    example; without sharing there would be one for each cell.
    """

    name: str
    cells: int
    examples: int
    runs: int
    prefill_tokens: int
    decode_tokens: int
    cache_bytes: int
    prefill_flops: float
    decode_bytes: float

    def hours(self, device: Device, prefills: int = 1) -> float:
        """On one device, when every example is prefilled so many times."""
        prefill = prefills * self.prefill_flops / (device.flops * PREFILL_SHARE)
        return (prefill + self.decode_bytes / (device.bandwidth * DECODE_SHARE)) / 3600


def told(configs: Iterable[Mapping[str, Any]]) -> str:
    """Size and cost of the jobs that some composed configurations describe, as text.

    Raises InputError if none of them can be prepared; a job that cannot is named with its reason.
    """
    estimates, refused = [], []
    for config in configs:
        try:
            estimates.append(estimate(prepare(Job.of(config))))
        except InputError as error:
            refused.append(f"{config['model']['name']} on {config['task']['name']}: {error}")
    if not estimates:
        raise InputError("; ".join(refused))
    lines = [*_table(estimates), *_totals(estimates), *(f"cannot be planned: {reason}" for reason in refused)]
    return "".join(f"{line}\n" for line in lines)


def estimate(prepared: Prepared) -> Estimate:
    """Count a job's work. Decoded tokens are counted as if no generation ended early."""
    cells, units, checkpoint = prepared.plan.cells, prepared.units, prepared.checkpoint
    lengths = [len(unit.work.prompt) for unit in units]
    steps = [unit.work.steps for unit in units]
    weights, width = _parameters(prepared), checkpoint.bytes_per_element
    per_token = sum(2 * layer.kv_heads * layer.head_dim for layer in checkpoint.layers) * width
    typical = round(statistics.mean(lengths))
    moved = sum(transfers(cell.method, checkpoint.layers, typical) for cell in cells) * width
    rows = max(1, prepared.job.engine.batch_tokens // (typical + len(cells) * round(statistics.mean(steps))))
    return Estimate(
        name=f"{prepared.job.model.name} on {prepared.job.task.name}",
        cells=len(cells),
        examples=len(units),
        runs=len(cells) * len(units),
        prefill_tokens=sum(lengths),
        decode_tokens=sum(steps) * len(cells),
        cache_bytes=max(n + t for n, t in zip(lengths, steps, strict=True)) * per_token,
        prefill_flops=2.0 * weights * sum(lengths) + sum(_attention_flops(prepared, n) for n in lengths),
        decode_bytes=sum(steps) * (moved + weights * width / rows),
    )


def _parameters(prepared: Prepared) -> float:
    """Weights that a token is multiplied with: attention, the feed-forward layers, the vocabulary; from the shapes."""
    config, layers = prepared.checkpoint.config.get_text_config(), prepared.checkpoint.layers
    heads = sum(2 * layer.head_dim * (config.num_attention_heads + layer.kv_heads) for layer in layers)
    inner = getattr(config, "intermediate_size", None) or 4 * config.hidden_size
    matrices = 2 if config.model_type in UNGATED else 3
    return float(config.hidden_size * (heads + len(layers) * matrices * inner + config.vocab_size))


def _attention_flops(prepared: Prepared, n: int) -> float:
    """Of a causal prefill of n tokens: half of QK' and of the product with V."""
    config = prepared.checkpoint.config.get_text_config()
    return 2.0 * n * n * float(config.num_attention_heads) * sum(layer.head_dim for layer in prepared.checkpoint.layers)


def _table(estimates: Sequence[Estimate]) -> list[str]:
    width = max(len(one.name) for one in estimates)
    head = f"{'job':<{width}}  cells  examples  example runs  prefill tokens  decode tokens  cache/example"
    lines = [
        f"{one.name:<{width}}  {one.cells:>5}  {one.examples:>8}  {one.runs:>12,}  {one.prefill_tokens:>14,}  "
        f"{one.decode_tokens:>13,}  {one.cache_bytes / GIB:>9.3f} GiB"
        for one in estimates
    ]
    return [head, *lines]


def _totals(estimates: Sequence[Estimate]) -> list[str]:
    """Hours of every device for all jobs, and what a prefill per cell would cost in their place."""
    runs = sum(one.runs for one in estimates)
    lines = [f"{len(estimates)} jobs, {sum(one.cells for one in estimates)} cells, {runs:,} example runs"]
    for device in DEVICES:
        shared = sum(one.hours(device) for one in estimates)
        alone = sum(one.hours(device, one.cells) for one in estimates)
        lines.append(
            f"{device.name:<8} {shared:>10.3f} h   a prefill per cell: {alone:.3f} h, {alone / shared:.1f} times"
        )
    told = f"a prefill at {PREFILL_SHARE:.0%} of peak arithmetic, decoding at {DECODE_SHARE:.0%} of memory bandwidth"
    return [*lines, f"The time model: {told}, nothing else; start-up and scoring come on top."]
