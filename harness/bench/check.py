"""Times a call only beside its error: it is compared with the method of harness/methods in float64, on the same inputs.

A choice of channels or tokens may hang on a tie that rounding decides. Such KV heads are found, and left out, by
computing the definition twice, for queries that are rounded in opposite directions.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.bench.columns import Status, Verdict
from harness.bench.timing import Call, Timing, time_calls, time_launches
from harness.errors import first_line
from harness.methods import Method

TOLERANCE = {torch.float16: 5e-3, torch.bfloat16: 3e-2, torch.float32: 1e-4, torch.float64: 1e-4}
SHORT_SCORES = {torch.float16: 0.25, torch.bfloat16: 0.5}
"""Tolerance of methods in torch, whose scores are in the short type too and choose other tokens than float64 does."""
ROUNDING = {torch.float16: 2e-5, torch.bfloat16: 2e-5, torch.float32: 4e-6, torch.float64: 4e-6}
"""Largest relative change of a query's components: above what float32 rounds scores by, far below the tolerance."""
TIED = 0.2
"""A KV head is left out if that change moves its output by more than this part of the tolerance."""


class Comparison(NamedTuple):
    """Holds the largest relative error of any KV head, and the share of the heads that were compared."""

    error: float
    compared: float


@dataclass(frozen=True)
class Definition:
    """Holds a method's outputs [B, H, G, D] in float64 for queries rounded in opposite directions."""

    one: Tensor
    other: Tensor

    @classmethod
    def of(cls, method: Method[Any], step: Step, prompt: LayerPrefix, rows: int | None = None) -> Definition:
        """Decode the first `rows` (None: all) from the prompt to the step, row by row, which bounds the memory."""
        count = min(rows or step.q.shape[0], step.q.shape[0])
        each = [list(_outputs(method, step, prompt, slice(row, row + 1))) for row in range(count)]
        return cls(*(torch.cat(outputs) for outputs in zip(*each, strict=True)))

    def compare(self, got: Tensor, tolerance: float) -> Comparison:
        """Compare an output of B * H * G * D elements; the error is infinite if NaN, or if every head is tied.

        Rows beyond those that are defined are not compared.
        """
        expected = (self.one + self.other) / 2
        size = _norm(expected)
        compared = _norm(self.other - self.one) <= TIED * tolerance * size
        given = got.reshape(-1, *expected.shape[1:])[: len(expected)].double()
        errors = (_norm(given - expected) / size)[compared]
        largest = float(errors.nan_to_num(nan=math.inf).max()) if len(errors) else math.inf
        return Comparison(largest, float(compared.double().mean()))


@dataclass(frozen=True)
class Trial:
    """Describes one way to compute a step: its name, its calls, what compares them, and how it says that it cannot.

    calls() makes calls that do the same work on different buffers; check(calls) runs the first and compares it. Calls
    that are not `captured` are timed as they are launched from Python, on a GPU too.
    """

    name: str
    calls: Callable[[], Sequence[Call]]
    check: Callable[[Sequence[Call]], Comparison]
    tolerance: float
    refusal: type[Exception] | tuple[type[Exception], ...]
    captured: bool = True


@dataclass(frozen=True)
class Outcome:
    """Holds what came of a trial: its status, the comparison if there was one, and the time if that was right."""

    status: Status
    tolerance: float
    note: str = ""
    comparison: Comparison | None = None
    timing: Timing | None = None

    @property
    def columns(self) -> Verdict:
        """Return the columns that both kinds of rows have."""
        error, compared = self.comparison or (None, None)
        return Verdict(status=self.status, error=error, tolerance=self.tolerance, compared=compared, note=self.note)


def outcome_of(trial: Trial, device: torch.device, samples: int) -> Outcome:
    """Make the trial's calls, check the first, and time them if it is right. Raises InputError for no samples."""
    try:
        return _checked(trial, device, samples)
    except torch.OutOfMemoryError as error:
        note = first_line(error)
    if device.type == "cuda":
        torch.cuda.empty_cache()
    return Outcome(Status.OUT_OF_MEMORY, trial.tolerance, note)


def _checked(trial: Trial, device: torch.device, samples: int) -> Outcome:
    found = None
    try:
        calls = trial.calls()
        with warnings.catch_warnings():  # a backend that refuses says why in warnings
            warnings.simplefilter("ignore")
            found = trial.check(calls)
        if found.error > trial.tolerance:
            return Outcome(Status.WRONG, trial.tolerance, "the error is above the tolerance", found)
        timing = time_calls(calls, device, samples) if trial.captured else time_launches(calls[0], device, samples)
        return Outcome(Status.OK, trial.tolerance, "", found, timing)
    except torch.OutOfMemoryError:
        raise
    except trial.refusal as error:  # when it is called, or later, where a CUDA graph cannot record what it does
        return Outcome(Status.UNSUPPORTED, trial.tolerance, first_line(error), found)


def _outputs(method: Method[Any], step: Step, prompt: LayerPrefix, row: slice) -> Iterator[Tensor]:
    """Yield the method's outputs [1, H, G, D] in float64 for the two queries of one row.

    A method that holds a cache of its own computes in the type of the given one, by which it rounds its scales.
    """
    precise = step.k.dtype if method.owns_cache else torch.float64
    q, k, v = (tensor[row].to(precise) for tensor in (step.q, step.k, step.v))
    generator = torch.Generator(q.device).manual_seed(0)
    change = ROUNDING[step.k.dtype] * (2 * torch.rand(q.shape, generator=generator, device=q.device, dtype=q.dtype) - 1)
    s, mask = prompt.k.shape[2], step.mask[row]
    for query in (q - q * change, q + q * change):
        state = method.start(_row_of(prompt, row, step, prompt_type(method, step.k.dtype)))
        for n in range(s + 1, step.length + 1):
            output = method.attend(Step(query, k[:, :, :n], v[:, :, :n], mask[..., :n], step.scores), state)
        yield output.double()


def prompt_type(method: Method[Any], given: torch.dtype) -> torch.dtype:
    """Return the type in which a definition takes a prompt of the `given` type.

    What is held of a prompt is made by the method itself, in the given type, whatever computes its steps: where its
    rounding matters, the definition starts from the same.
    """
    return given if method.owns_cache or method.rounds_at_start else torch.float64


def _row_of(prompt: LayerPrefix, row: slice, step: Step, dtype: torch.dtype) -> LayerPrefix:
    """Return one row of a prompt as the only one, its keys and values in another type, statistics in no coarser one."""
    s = prompt.k.shape[2]
    given = {name: value[row] for name, value in prompt.statistics.items()}
    known = {
        name: value.to(torch.promote_types(value.dtype, dtype)) if value.is_floating_point() else value
        for name, value in given.items()
    }
    k, v = (tensor[row, :, :s].to(dtype) for tensor in (step.k, step.v))
    mask, steps = step.mask[row][..., :s], step.length - s
    return replace(prompt, k=k, v=v, mask=mask, statistics=known, shared={}, common={}, decode_steps=steps)


def _norm(outputs: Tensor) -> Tensor:
    """Return the 2-norm of every KV head's outputs, [B, H]."""
    norm: Tensor = torch.linalg.vector_norm(outputs, dim=(2, 3))
    return norm
