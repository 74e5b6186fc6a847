"""Tries every implementation of a decode step of attention on one layout's inputs: PyTorch's, ours, and rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import torch

from harness import methods
from harness.bench.cases import BY_KERNEL, BY_TORCH, Buffers, Layout, Make, dense_paths, method_call, prompt_of
from harness.bench.check import SHORT_SCORES, TOLERANCE, Definition, Outcome, Trial, outcome_of
from harness.bench.columns import Status
from harness.bench.machine import cache_size
from harness.bench.rivals import Rival
from harness.bench.timing import Call
from harness.errors import InputError
from harness.kernels import available, require
from harness.methods.cost import dense_transfers

LARGEST_SETS = 16
LAUNCHED_SAMPLES = 3
"""Samples of a method in torch, which can be slow."""
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


def path_of(kernel: str, device: torch.device) -> str:
    """Return what computes the methods, triton or torch; auto is triton where it runs. Raises InputError."""
    if kernel not in {"auto", "torch", "triton"}:
        raise InputError(f"kernel is auto, torch or triton, not '{kernel}'")
    if kernel == "triton":
        require(device)
    return ("triton" if available(device) else "torch") if kernel == "auto" else kernel


def element_type(name: str) -> torch.dtype:
    """Return the type of this name. Raises InputError."""
    if name not in DTYPES:
        raise InputError(f"'{name}' is no element type: choose {', '.join(DTYPES)}")
    return DTYPES[name]


@dataclass(frozen=True)
class Case:
    """Describes one method with its knobs, how often K is stored, the elements that a KV head moves, and its path.

    The path is triton, or torch for a method that runs without a kernel.
    """

    method: str
    knobs: dict[str, Any]
    k_stored: int
    transfers: float
    path: str

    @property
    def is_dense(self) -> bool:
        """Return True for dense attention."""
        return methods.find(self.method).is_dense


@dataclass(frozen=True)
class Workload:
    """Holds the cases of one layout and its inputs, which all are computed from; `rows` of the batch are compared.

    None of `rows` means all.
    """

    layout: Layout
    cases: Sequence[Case]
    device: torch.device
    rivals: Sequence[Rival] = ()
    rows: int | None = None
    _definitions: dict[tuple[str, str, int], Definition] = field(default_factory=dict)

    def outcomes(self, samples: int) -> Iterator[tuple[Case, str, Outcome]]:
        """Try every SDPA backend, every rival and every case; yields each case with the name of what computed it."""
        versions = {path: rival.version for rival in self.rivals for path in rival.paths}
        for case, trial in self._trials():
            count = samples if trial.captured else min(samples, LAUNCHED_SAMPLES)
            found = outcome_of(trial, self.device, count)
            yield case, trial.name, replace(found, note=found.note or versions.get(trial.name, ""))
        for rival in self.rivals:
            if rival.absence:
                yield self._plain, rival.name, Outcome(Status.ABSENT, self._exact, rival.absence)

    @cached_property
    def sets(self) -> list[Buffers]:
        """Make inputs, in so many sets that none is still in the last-level cache when it is used again."""
        layout = self.layout
        least = min([c.transfers for c in self.cases if not c.is_dense] + [dense_transfers(layout.s, layout.d)])
        moved = least * layout.batch * layout.kv_heads * layout.dtype.itemsize
        count = min(LARGEST_SETS, int(3 * cache_size(self.device) / moved) + 1)
        return [layout.buffers(self.device) for _ in range(count)]

    @property
    def _plain(self) -> Case:
        return Case("dense", {}, 1, dense_transfers(self.layout.s, self.layout.d), "")

    @property
    def _exact(self) -> float:
        return TOLERANCE[self.layout.dtype]

    def _trials(self) -> Iterator[tuple[Case, Trial]]:
        plain = self._plain
        there = [rival.makes for rival in self.rivals if not rival.absence]
        for name, make in (pair for makes in (dense_paths(self.layout), *there) for pair in makes.items()):
            yield plain, self._trial(plain, name, make, RuntimeError)
        for case in self.cases:
            if case.path != "torch":
                yield case, self._trial(case, case.path, self._maker(case), InputError)
            elif not case.is_dense:  # SDPA's are the dense attention in torch
                yield case, self._in_torch(case)

    def _trial(self, case: Case, name: str, make: Make, refusal: type[Exception]) -> Trial:
        return Trial(
            name,
            lambda: [make(x) for x in self.sets],
            lambda calls: self._definition(case, BY_KERNEL).compare(calls[0](), self._exact),
            self._exact,
            refusal,
        )

    def _in_torch(self, case: Case) -> Trial:
        """Describe a method's trial as harness/methods has it: launched from Python, over one set of inputs."""
        tolerance = SHORT_SCORES.get(self.layout.dtype, self._exact)
        return Trial(
            "torch",
            lambda: [self._maker(case)(self.sets[0])],
            lambda calls: self._definition(case, BY_TORCH).compare(calls[0](), tolerance),
            tolerance,
            (InputError, RuntimeError),  # an operation that a device or an element type lacks
            captured=False,
        )

    def _maker(self, case: Case) -> Make:
        def make(x: Buffers) -> Call:
            inputs = Buffers(x.q, x.cache.stored_once()) if case.k_stored == 1 else x
            return method_call(case.method, inputs, case.path, **case.knobs)

        return make

    def _definition(self, case: Case, steps: int) -> Definition:
        key = case.method, str(case.knobs), steps
        if key not in self._definitions:
            method, step = methods.create(case.method, **case.knobs), self.sets[0].step
            self._definitions[key] = Definition.of(method, step, prompt_of(method, step, steps), self.rows)
        return self._definitions[key]
