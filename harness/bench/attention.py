"""Runs the paper's microbenchmark: a decode step of attention, dense against the methods (SparQ, section 5.4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd
import torch

from harness import methods
from harness.bench.cases import BY_KERNEL, BY_TORCH, Buffers, Layout, Make, dense_paths, method_call, prompt_of
from harness.bench.check import SHORT_SCORES, TOLERANCE, Definition, Outcome, Trial, outcome_of
from harness.bench.machine import cache_size, copy_bandwidth, describe
from harness.bench.row import AttentionRow, Machine, table
from harness.bench.timing import Call, check_samples
from harness.engine.device import find_device
from harness.errors import InputError
from harness.kernels import available, require
from harness.methods.cost import dense_transfers

LARGEST_SETS = 16
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


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


def bench_attention(  # noqa: PLR0913  the grid's axes
    *,
    s: Sequence[int] = (4096,),
    batch: Sequence[int] = (64,),
    method: Sequence[str] = ("dense", "sparq"),
    r: Sequence[int] = (32,),
    k: Sequence[int] = (128,),
    k_stored: Sequence[int] = (2,),
    heads: int = 32,
    kv_heads: int | None = None,
    d: int = 128,
    dtype: str = "float16",
    device: str = "auto",
    kernel: str = "auto",
    samples: int = 20,
    commit: str | None = None,
) -> pd.DataFrame:
    """Check and time every combination; returns AttentionRows, one per SDPA backend and per method, as a table.

    `heads` query heads share `kv_heads` KV heads (None: as many). `kernel` is auto, torch or triton. Raises InputError.
    """
    where = torch.device(find_device(device, "--device", ("cpu", "cuda")))
    kernel = _kernel(kernel, where)
    check_samples(samples)
    shared = heads if kv_heads is None else kv_heads
    layouts = [Layout(b, n, heads, shared, d, _dtype(dtype)) for b, n in itertools.product(batch, s)]
    work = [(layout, list(_cases(method, r, k, k_stored, layout.s, d))) for layout in layouts]
    about = describe(where, commit)
    copy = copy_bandwidth(where) / 1e9
    rows = []
    for layout, cases in work:
        tried = Workload(layout, cases, kernel, where).outcomes(samples)
        rows += _with_speedup([_row(layout, case, path, found, copy, about) for case, path, found in tried])
    return table(rows)


def _kernel(kernel: str, device: torch.device) -> str:
    if kernel not in {"auto", "torch", "triton"}:
        raise InputError(f"kernel is auto, torch or triton, not '{kernel}'")
    if kernel == "triton":
        require(device)
    return ("triton" if available(device) else "torch") if kernel == "auto" else kernel


def _dtype(name: str) -> torch.dtype:
    if name not in DTYPES:
        raise InputError(f"'{name}' is no element type: choose {', '.join(DTYPES)}")
    return DTYPES[name]


def _cases(
    names: Sequence[str], r: Sequence[int], k: Sequence[int], k_stored: Sequence[int], n: int, d: int
) -> Iterator[Case]:
    if not {1, 2}.issuperset(k_stored):
        raise InputError(f"K is stored once or twice: k_stored is 1 or 2, not {k_stored}")
    for name in names:
        cls = methods.find(name)
        by_channels = cls.about.access == "channels"
        axes = {knob: values for knob, values in {"r": r, "k": k}.items() if knob in methods.knobs(cls)}
        for values in itertools.product(*axes.values()):
            knobs = dict(zip(axes, values, strict=True))
            moved = methods.create(name, **knobs).transfers(n, d)
            for copies in k_stored if by_channels else (1,):
                # Without a channel-major copy, whole rows of K are read whatever r is: channels share memory sectors.
                whole = (d - min(knobs["r"], d)) * n if by_channels and copies == 1 else 0
                yield Case(name, knobs, copies, moved + whole)


@dataclass(frozen=True)
class Workload:
    """Holds the cases of one layout and its inputs, which all are computed from."""

    layout: Layout
    cases: Sequence[Case]
    kernel: str
    device: torch.device
    _definitions: dict[tuple[str, str, int], Definition] = field(default_factory=dict)

    def outcomes(self, samples: int) -> Iterator[tuple[Case, str, Outcome]]:
        """Try every SDPA backend and every case; yields each case with the name of what computed it."""
        for case, trial in self._trials():
            yield case, trial.name, outcome_of(trial, self.device, samples)

    @cached_property
    def sets(self) -> list[Buffers]:
        """Make inputs, in so many sets that none is still in the last-level cache when it is used again."""
        layout = self.layout
        least = min([c.transfers for c in self.cases if not c.is_dense] + [dense_transfers(layout.s, layout.d)])
        moved = least * layout.batch * layout.kv_heads * layout.dtype.itemsize
        count = min(LARGEST_SETS, int(3 * cache_size(self.device) / moved) + 1)
        return [layout.buffers(self.device) for _ in range(count)]

    def _trials(self) -> Iterator[tuple[Case, Trial]]:
        plain = Case("dense", {}, 1, dense_transfers(self.layout.s, self.layout.d))
        exact = TOLERANCE[self.layout.dtype]
        for name, make in dense_paths(self.layout).items():
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


def _row(layout: Layout, case: Case, path: str, tried: Outcome, copy_gbps: float, about: Machine) -> AttentionRow:
    moved = case.transfers * layout.batch * layout.kv_heads * layout.dtype.itemsize
    row = AttentionRow(
        batch=layout.batch, s=layout.s, heads=layout.heads, kv_heads=layout.kv_heads, d=layout.d,
        dtype=str(layout.dtype).removeprefix("torch."), method=case.method, path=path, r=case.knobs.get("r"),
        k=case.knobs.get("k"), k_stored=case.k_stored, **tried.columns, bytes=moved,
        speedup_theory=dense_transfers(layout.s, layout.d) / case.transfers, copy_gbps=copy_gbps, **about,
    )  # fmt: skip
    if tried.timing is None:
        return row
    us, gbps = tried.timing.median, moved / tried.timing.median / 1e3
    return replace(
        row, us=us, us_p10=tried.timing.p10, us_p90=tried.timing.p90, us_per_query=us / layout.batch,
        clock=tried.timing.how, gbps=gbps, copy_share=gbps / copy_gbps,
    )  # fmt: skip


def _with_speedup(rows: Sequence[AttentionRow]) -> list[AttentionRow]:
    """Fill in the speed-up of one layout's rows over the fastest SDPA backend, if any was timed."""
    best = min((row.us for row in rows if row.path.startswith("sdpa") and row.us), default=None)
    return [replace(row, speedup=best and row.us and best / row.us) for row in rows]
