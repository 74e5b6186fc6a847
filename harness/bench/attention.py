"""The paper's microbenchmark: one decode step of attention, dense against the methods (SparQ paper, section 5.4)."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from harness import methods
from harness.bench.cases import Buffers, Layout, dense_calls, method_call
from harness.bench.machine import cache_size, copy_bandwidth, describe, device_of
from harness.bench.timing import Call, Timing, time_calls
from harness.errors import InputError
from harness.kernels import available, require
from harness.methods.ratio import dense_transfers

LARGEST_SETS = 16
DTYPES = {"float16": torch.float16, "bfloat16": torch.bfloat16, "float32": torch.float32}


@dataclass(frozen=True)
class Case:
    """One line of the table: a method with its knobs, how often K is stored, and the elements a KV head moves."""

    method: str
    knobs: dict[str, Any]
    k_stored: int
    transfers: float


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
    """Time every combination; a row per dense backend and per method. Times are us per call of the whole batch.

    `heads` query heads share `kv_heads` KV heads (None: as many). `kernel` is auto, torch or triton. Raises InputError.
    """
    where = device_of(device)
    kernel = _kernel(kernel, where)
    shared = heads if kv_heads is None else kv_heads
    layouts = [Layout(b, n, heads, shared, d, _dtype(dtype)) for b, n in itertools.product(batch, s)]
    work = [(layout, list(_cases(method, r, k, k_stored, layout.s, d))) for layout in layouts]
    about = describe(where, commit)
    copy = copy_bandwidth(where)
    rows = [row for layout, cases in work for row in _measure(layout, cases, kernel, where, samples)]
    table = pd.DataFrame(rows).assign(copy_gbps=copy / 1e9, **about)
    table["copy_share"] = table["gbps"] / table["copy_gbps"]
    return table


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
        wanted, by_channels = methods.knobs(cls), cls.about.access == "channels"
        axes = {knob: values for knob, values in {"r": r, "k": k}.items() if knob in wanted}
        for values in itertools.product(*axes.values()):
            knobs = dict(zip(axes, values, strict=True))
            moved = methods.create(name, **knobs).transfers(n, d)
            for copies in k_stored if by_channels else (1,):
                # Without a channel-major copy, whole rows of K are read whatever r is: channels share memory sectors.
                whole = (d - min(knobs["r"], d)) * n if by_channels and copies == 1 else 0
                yield Case(name, knobs, copies, moved + whole)


def _measure(
    layout: Layout, cases: list[Case], kernel: str, device: torch.device, samples: int
) -> Iterator[dict[str, object]]:
    """Rows of one layout. Inputs rotate among so many sets that none is still in the last-level cache when reused."""
    smallest = min([case.transfers for case in cases if case.method != "dense"] + [dense_transfers(layout.s, layout.d)])
    moved = smallest * layout.batch * layout.kv_heads * layout.dtype.itemsize
    sets = [layout.buffers(device) for _ in range(min(LARGEST_SETS, int(3 * cache_size(device) / moved) + 1))]
    backends = [dense_calls(x) for x in sets]
    dense = {name: time_calls([calls[name] for calls in backends], device, samples) for name in backends[0]}
    best = min(timing.median for timing in dense.values())
    plain = Case("dense", {}, 1, dense_transfers(layout.s, layout.d))
    yield from (_row(layout, plain, name, timing, best) for name, timing in dense.items())
    for case in cases:
        if case.method == "dense" and kernel == "torch":
            continue
        timing = time_calls([_call(case, x, kernel) for x in sets], device, samples)
        yield _row(layout, case, kernel, timing, best)


def _call(case: Case, x: Buffers, kernel: str) -> Call:
    c = x.cache
    if case.k_stored == 1:
        c = c.stored_once()
    return method_call(case.method, Buffers(x.q, c), kernel, **case.knobs)


def _row(layout: Layout, case: Case, path: str, timing: Timing, best: float) -> dict[str, object]:
    moved = case.transfers * layout.batch * layout.kv_heads * layout.dtype.itemsize
    return {
        "batch": layout.batch,
        "s": layout.s,
        "heads": layout.heads,
        "kv_heads": layout.kv_heads,
        "d": layout.d,
        "dtype": str(layout.dtype).removeprefix("torch."),
        "method": case.method,
        "path": path,
        "r": case.knobs.get("r"),
        "k": case.knobs.get("k"),
        "k_stored": case.k_stored,
        "us": timing.median,
        "us_p10": timing.p10,
        "us_p90": timing.p90,
        "us_per_query": timing.median / layout.batch,
        "clock": timing.how,
        "bytes": moved,
        "gbps": moved / timing.median / 1e3,
        "speedup_theory": dense_transfers(layout.s, layout.d) / case.transfers,
        "speedup": best / timing.median,
    }
