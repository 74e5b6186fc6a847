"""Measures what a decode step of a whole model costs under each method, and where the time goes."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pandas as pd
import torch
from torch._dynamo import config as dynamo_config
from torch.nn.attention import SDPBackend

from harness import methods
from harness.bench.cases import BY_KERNEL, BY_TORCH, SHORTEST
from harness.bench.check import SHORT_SCORES, TOLERANCE, Outcome, Trial, outcome_of
from harness.bench.columns import Machine
from harness.bench.decoding import Attend, by_kernel, by_sdpa, by_torch
from harness.bench.machine import copy_bandwidth, describe
from harness.bench.row import GenerateRow, table, with_speedup
from harness.bench.steps import Steps
from harness.errors import InputError
from harness.hf import Checkpoint
from harness.methods import Method
from harness.methods.controls.dense import Dense
from harness.methods.cost import transfers

BACKENDS = {
    "sdpa-flash": SDPBackend.FLASH_ATTENTION,
    "sdpa-cudnn": SDPBackend.CUDNN_ATTENTION,
    "sdpa-efficient": SDPBackend.EFFICIENT_ATTENTION,
}
PAPER_TOKENS = {"k": 128, "local": 32}
RANK_STEP = 8
"""On a GPU, r is rounded down to a multiple of this: the score kernel loads channels in groups."""
SAMPLES = 20

Named = tuple[str, Method[Any]]
"""A method under the name that found it."""


def bench_generate(
    checkpoint: Checkpoint,
    batch: Sequence[int],
    s: Sequence[int],
    method: Sequence[str],
    ratio: float,
    commit: str | None = None,
) -> pd.DataFrame:
    """Check and time every shape, method and backend, each said when it is done; returns GenerateRows as a table.

    Raises InputError for an unknown method or a ratio out of reach.
    """
    _check(batch, s, ratio)
    chosen = {length: [solved(checkpoint, name, ratio, length) for name in method] for length in s}
    device = torch.device(checkpoint.device)
    bench = Bench(checkpoint, checkpoint.load(), copy_bandwidth(device), describe(device, commit))
    rows = []
    for row in bench.grid(batch, chosen):
        rows.append(row)
        took = row.status if row.ms_per_token is None else f"{row.ms_per_token:.2f} ms"
        sys.stderr.write(f"batch {row.batch}, {row.seq} tokens, {row.method} ({row.backend}): {took}\n")
    return table(with_speedup(rows))


@dataclass(frozen=True)
class Bench:
    """Holds a loaded model, the machine that it runs on, and that machine's copy bandwidth in bytes per second."""

    checkpoint: Checkpoint
    model: Any
    bandwidth: float
    about: Machine

    @property
    def device(self) -> torch.device:
        """Return where the model runs."""
        return torch.device(self.checkpoint.device)

    def grid(self, batches: Sequence[int], chosen: Mapping[int, Sequence[Named]]) -> Iterator[GenerateRow]:
        """Yield rows for every batch size and every cached length with its methods, as they are measured."""
        for batch, length in itertools.product(batches, chosen):
            yield from self.measure(batch, length, chosen[length])

    @torch.inference_mode()
    def measure(self, batch: int, length: int, chosen: Sequence[Named]) -> Iterator[GenerateRow]:
        """Yield the rows of one shape."""
        steps = Steps(self.model, self.checkpoint.layers, batch, length)
        for name, method in chosen:
            for trial in self._trials(method, steps):
                with dynamo_config.patch(recompile_limit=4 * len(self.checkpoint.layers)):  # a layer's code is its own
                    tried = outcome_of(trial, self.device, SAMPLES)
                yield self._row(steps, name, method, trial.name, tried)

    def _trials(self, method: Method[Any], steps: Steps) -> Iterator[Trial]:
        if self.device.type != "cuda":
            yield self._trial("torch", method, steps, partial(by_torch, method, steps.length))
            return
        if method.is_dense:
            for name, backend in BACKENDS.items():
                yield self._trial(name, method, steps, partial(by_sdpa, backend, steps.length))
        yield self._trial("triton", method, steps, partial(by_kernel, method))

    def _trial(self, backend: str, method: Method[Any], steps: Steps, attention: Callable[[], Attend]) -> Trial:
        in_torch, exact = backend == "torch", TOLERANCE[steps.dtype]
        tolerance = SHORT_SCORES.get(steps.dtype, exact) if in_torch and not method.is_dense else exact
        decoded = BY_TORCH if in_torch else BY_KERNEL
        return Trial(
            backend,
            lambda: steps.calls(attention()),
            lambda _: steps.check(method, decoded, tolerance),
            tolerance,
            RuntimeError if backend in BACKENDS else InputError,
        )

    def _row(self, steps: Steps, name: str, method: Method[Any], backend: str, tried: Outcome) -> GenerateRow:
        moved = transfers(method, self.checkpoint.layers, steps.length)
        dense = transfers(Dense(), self.checkpoint.layers, steps.length)
        row = GenerateRow(
            model=self.checkpoint.spec.name, dtype=self.checkpoint.spec.dtype, batch=steps.batch, seq=steps.length,
            method=name, params=str(methods.settings(method)), backend=backend, compression=dense / moved,
            **tried.columns, model_ms=self._model_ms(steps.batch, moved), copy_gbps=self.bandwidth / 1e9, **self.about,
        )  # fmt: skip
        if tried.timing is None:
            return row
        ms, rest = tried.timing.median / 1e3, steps.rest.median / 1e3
        return replace(
            row, ms_per_token=ms, p10_ms=tried.timing.p10 / 1e3, p90_ms=tried.timing.p90 / 1e3,
            tokens_per_second=steps.batch / ms * 1e3, attention_ms=ms - rest, rest_ms=rest, how=tried.timing.how,
        )  # fmt: skip

    def _model_ms(self, batch: int, moved: float) -> float:
        """Return the roofline: all weights but the embedding table once, and each row's transfers, at the bandwidth."""
        parameters = sum(p.numel() for p in self.model.parameters())
        output, table = self.model.get_output_embeddings().weight, self.model.get_input_embeddings().weight
        read = parameters - (0 if output is table else table.numel())
        return float((read + batch * moved) * self.checkpoint.bytes_per_element / self.bandwidth * 1e3)


def solved(checkpoint: Checkpoint, name: str, ratio: float, length: int) -> Named:
    """Solve a method for the ratio; dense stays as it is. Raises InputError."""
    if methods.find(name).is_dense:
        return name, methods.create(name)
    fixed = PAPER_TOKENS if methods.find(name).about.access == "channels" else {}
    method = methods.solve(name, methods.Budget(ratio, length, checkpoint.layers), **fixed)
    knobs = methods.settings(method)
    if checkpoint.device == "cuda" and knobs.get("r", 0) > RANK_STEP:
        method = methods.create(name, **{**knobs, "r": knobs["r"] // RANK_STEP * RANK_STEP})
    return name, method


def _check(batch: Sequence[int], s: Sequence[int], ratio: float) -> None:
    for axis, values, least in (("batch", batch, 1), ("s", s, SHORTEST), ("ratio", [ratio], 1)):
        if not min(values) >= least:
            raise InputError(f"{axis} must be at least {least}, not {min(values):g}")
