"""Tries every implementation of a decode step of attention on one layout's inputs: PyTorch's, ours, and rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
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
from harness.methods.cost import dense_transfers

LARGEST_SETS = 16


@dataclass(frozen=True)
class Case:
    """Describes one method with its knobs, how often K is stored, and the elements that a KV head moves."""

    method: str
    knobs: dict[str, Any]
    k_stored: int
    transfers: float

    @property
    def is_dense(self) -> bool:
        """Return True for dense attention."""
        return methods.find(self.method).is_dense


@dataclass(frozen=True)
class Workload:
    """Holds the cases of one layout and its inputs, which all are computed from."""

    layout: Layout
    cases: Sequence[Case]
    kernel: str
    device: torch.device
    rivals: Sequence[Rival] = ()
    _definitions: dict[tuple[str, str, int], Definition] = field(default_factory=dict)

    def outcomes(self, samples: int) -> Iterator[tuple[Case, str, Outcome]]:
        """Try every SDPA backend, every rival and every case; yields each case with the name of what computed it."""
        for case, trial in self._trials():
            yield case, trial.name, outcome_of(trial, self.device, samples)
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
        return Case("dense", {}, 1, dense_transfers(self.layout.s, self.layout.d))

    @property
    def _exact(self) -> float:
        return TOLERANCE[self.layout.dtype]

    def _trials(self) -> Iterator[tuple[Case, Trial]]:
        plain, exact = self._plain, self._exact
        there = [rival.makes for rival in self.rivals if not rival.absence]
        for name, make in (pair for makes in (dense_paths(self.layout), *there) for pair in makes.items()):
            yield plain, self._trial(plain, name, BY_KERNEL, make, exact, RuntimeError)
        in_torch = self.kernel == "torch"
        tolerance = SHORT_SCORES.get(self.layout.dtype, exact) if in_torch else exact
        for case in self.cases:
            if not (case.is_dense and in_torch):  # SDPA's are the dense attention in torch
                steps = BY_TORCH if in_torch else BY_KERNEL
                yield case, self._trial(case, self.kernel, steps, self._maker(case), tolerance, InputError)

    def _trial(
        self, case: Case, name: str, steps: int, make: Make, tolerance: float, refusal: type[Exception]
    ) -> Trial:
        return Trial(
            name,
            lambda: [make(x) for x in self.sets],
            lambda calls: self._definition(case, steps).compare(calls[0](), tolerance),
            tolerance,
            refusal,
        )

    def _maker(self, case: Case) -> Make:
        def make(x: Buffers) -> Call:
            inputs = Buffers(x.q, x.cache.stored_once()) if case.k_stored == 1 else x
            return method_call(case.method, inputs, self.kernel, **case.knobs)

        return make

    def _definition(self, case: Case, steps: int) -> Definition:
        key = case.method, str(case.knobs), steps
        if key not in self._definitions:
            method, step = methods.create(case.method, **case.knobs), self.sets[0].step
            self._definitions[key] = Definition.of(method, step, prompt_of(method, step, steps))
        return self._definitions[key]
