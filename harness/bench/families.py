"""Times one decode step of attention by every method at equal bytes, each by its kernel, or by PyTorch without one."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd
import torch

from harness import methods
from harness.attention import LayerShape
from harness.bench.cases import Layout
from harness.bench.check import Outcome
from harness.bench.columns import Machine, Status
from harness.bench.machine import copy_bandwidth, describe
from harness.bench.row import FamilyRow, table
from harness.bench.timing import check_samples
from harness.bench.workload import Case, Workload, path_of
from harness.engine.device import find_device
from harness.errors import InputError
from harness.kernels import find_binding
from harness.methods import Budget, Method
from harness.methods.cost import ELEMENT, LayerAt, dense_cost

LOWER = (1, 3 / 4, 1 / 2, 3 / 8, 1 / 4, 3 / 16)
"""Shares of the compression that is asked for, of which a method gets the first that it can reach."""
EVERYWHERE = {"dense_layers": 0, "layers": "all"}
"""Settings under which the layer that is timed is not left dense."""


def bench_families(
    layouts: Sequence[Layout],
    names: Sequence[str] | None = None,
    ratio: float = 8,
    device: str = "auto",
    kernel: str = "auto",
    samples: int = 20,
    rows: int = 1,
    commit: str | None = None,
) -> pd.DataFrame:
    """Check and time every method (None: all that can run) on every layout; returns FamilyRows as a table.

    Each is solved for `ratio` in the layer that is timed. `rows` of the batch are compared with float64. Dense
    attention comes first, by every SDPA backend. Raises InputError.
    """
    where = torch.device(find_device(device, "--device", ("cpu", "cuda")))
    check_samples(samples)
    if rows < 1 or not ratio >= 1:
        raise InputError(f"rows and ratio must be at least 1, not {rows} and {ratio:g}")
    given = sorted(methods.runnable() if names is None else names, key=_family)
    bench = Bench(ratio, path_of(kernel, where), where, rows, copy_bandwidth(where) / 1e9, describe(where, commit))
    return table([row for layout in layouts for row in _with_speedup(list(bench.rows_of(layout, given, samples)))])


@dataclass(frozen=True)
class Bench:
    """Holds what all rows have in common."""

    ratio: float
    path: str
    device: torch.device
    compared: int
    copy_gbps: float
    about: Machine

    def rows_of(self, layout: Layout, names: Sequence[str], samples: int) -> Iterator[FamilyRow]:
        """Yield dense attention's rows of a layout, then those of the methods, each said when it is done."""
        cases, refused = [], []
        for name in names:
            try:
                cases.append(self._case(layout, name, solved(name, self.ratio, layout)))
            except InputError as error:
                refused.append(
                    self._row(layout, name, "torch", Outcome(Status.UNSUPPORTED, math.nan, str(error)), None)
                )
        work = Workload(layout, cases, self.device, rows=self.compared)
        for case, path, tried in work.outcomes(samples):
            row = self._row(layout, case.method, path, tried, methods.create(case.method, **case.knobs))
            took = row.status if row.us is None else f"{row.us:.0f} us"
            sys.stderr.write(f"batch {row.batch}, {row.s} tokens, {row.method} ({path}): {took}\n")
            yield row
        yield from refused

    def _case(self, layout: Layout, name: str, method: Method[Any]) -> Case:
        path = self.path if find_binding(method) is not None else "torch"
        copies = 2 if method.about.access == "channels" else 1
        return Case(name, _knobs(method), copies, method.cost(_at(layout)).moved / ELEMENT, path)

    def _row(self, layout: Layout, name: str, path: str, tried: Outcome, method: Method[Any] | None) -> FamilyRow:
        facts = methods.facts(name)
        row = FamilyRow(
            batch=layout.batch, s=layout.s, heads=layout.heads, kv_heads=layout.kv_heads, d=layout.d,
            dtype=str(layout.dtype).removeprefix("torch."), family=facts["family"], method=name,
            params=str(methods.settings(method)) if method else "", access=facts["access"], path=path,
            asked=self.ratio, compression=None, estimated=bool(method and method.measured),
            rows=min(self.compared, layout.batch), **tried.columns, copy_gbps=self.copy_gbps, **self.about,
        )  # fmt: skip
        return _timed(row if method is None else _moved(row, layout, method), tried)


def _moved(row: FamilyRow, layout: Layout, method: Method[Any]) -> FamilyRow:
    """Fill in the bytes of the whole call."""
    cost, whole = method.cost(_at(layout)), dense_cost(_at(layout)).moved
    size = layout.batch * layout.kv_heads * layout.dtype.itemsize / ELEMENT
    return replace(
        row, compression=whole / cost.moved, choose_bytes=cost.choose * size, attend_bytes=cost.attend * size,
        write_bytes=cost.write * size,
    )  # fmt: skip


def _timed(row: FamilyRow, tried: Outcome) -> FamilyRow:
    timing = tried.timing
    return replace(row, us=timing.median, us_p10=timing.p10, us_p90=timing.p90, clock=timing.how) if timing else row


def solved(name: str, ratio: float, layout: Layout) -> Method[Any]:
    """Solve a method for a ratio in one layer, or for the next lower one in LOWER that it reaches.

    A method without a free knob, such as dense, is as it is. Raises InputError if no ratio can be reached.
    """
    fixed = {} if methods.find(name).is_dense else EVERYWHERE
    if not methods.open_knobs(name, fixed):
        return methods.create(name, **fixed)
    first: InputError | None = None
    for share in LOWER:
        try:
            return methods.solve(name, Budget(max(1.0, ratio * share), layout.s, (_shape(layout),)), **fixed)
        except InputError as error:
            first = first or error
    raise first or InputError(f"{name} has no ratio to be solved for")


def _knobs(method: Method[Any]) -> dict[str, Any]:
    """Return every knob, so that the same method can be made again."""
    return {name: getattr(method, name) for name in methods.knobs(type(method))}


def _at(layout: Layout) -> LayerAt:
    return LayerAt.of(_shape(layout), layout.s, 0, 1)


def _shape(layout: Layout) -> LayerShape:
    return LayerShape(layout.kv_heads, layout.d, group=layout.heads // layout.kv_heads)


def _family(name: str) -> tuple[bool, str, str]:
    return not methods.find(name).is_dense, methods.facts(name)["family"], name


def _with_speedup(rows: Sequence[FamilyRow]) -> list[FamilyRow]:
    """Fill in the speed-up over the fastest SDPA backend, if any was timed."""
    best = min((row.us for row in rows if row.path.startswith("sdpa") and row.us), default=None)
    return [replace(row, speedup=best and row.us and best / row.us) for row in rows]
