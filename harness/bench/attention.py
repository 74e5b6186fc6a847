"""Runs the paper's microbenchmark: a decode step of attention, dense against the methods (SparQ, section 5.4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace

import pandas as pd
import torch

from harness import methods
from harness.bench.cases import Layout
from harness.bench.check import Outcome
from harness.bench.columns import Machine
from harness.bench.machine import copy_bandwidth, describe
from harness.bench.rivals import chosen
from harness.bench.row import AttentionRow, table
from harness.bench.timing import check_samples
from harness.bench.workload import Case, Workload, element_type, path_of
from harness.engine.device import find_device
from harness.errors import InputError
from harness.methods.cost import dense_transfers


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
    rivals: Sequence[str] | None = None,
    commit: str | None = None,
) -> pd.DataFrame:
    """Check and time every combination; returns AttentionRows, one per SDPA backend and per method, as a table.

    `heads` query heads share `kv_heads` KV heads (None: as many). `kernel` is auto, torch or triton. `rivals` names
    kernels of others that are timed beside them (bench/rivals), all libraries if it is empty. Raises InputError.
    """
    where = torch.device(find_device(device, "--device", ("cpu", "cuda")))
    kernel = path_of(kernel, where)
    check_samples(samples)
    others = chosen(rivals)
    shared = heads if kv_heads is None else kv_heads
    layouts = [Layout(b, n, heads, shared, d, element_type(dtype)) for b, n in itertools.product(batch, s)]
    work = [(layout, list(_cases(method, r, k, k_stored, layout.s, d, kernel))) for layout in layouts]
    about = describe(where, commit)
    copy = copy_bandwidth(where) / 1e9
    rows = []
    for layout, cases in work:
        tried = Workload(layout, cases, where, others).outcomes(samples)
        rows += _with_speedup([_row(layout, case, path, found, copy, about) for case, path, found in tried])
    return table(rows)


def _cases(
    names: Sequence[str], r: Sequence[int], k: Sequence[int], k_stored: Sequence[int], n: int, d: int, path: str
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
                yield Case(name, knobs, copies, moved + whole, path)


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
