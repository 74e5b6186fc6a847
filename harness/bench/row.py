"""Describes the lines of both benchmarks: every column once, with its meaning and unit."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TypedDict, get_type_hints

import pandas as pd

from harness import methods


class Status(StrEnum):
    """Names what came of one line: only a call that agrees with its definition has a time."""

    OK = "ok"
    """The error is within the tolerance, and the call was timed."""
    WRONG = "wrong"
    """The error is above the tolerance; nothing was timed."""
    UNSUPPORTED = "unsupported"
    """The implementation does not take this shape, element type or device, or the method has none of this kind."""
    OUT_OF_MEMORY = "out_of_memory"
    """The inputs, the call or its definition did not fit into the device's memory."""


class Verdict(TypedDict):
    """Holds the columns that say whether a call was right; both kinds of rows have them."""

    status: Status
    error: float | None
    tolerance: float | None
    compared: float | None
    note: str


class Machine(TypedDict):
    """Holds the columns that say what a benchmark ran on; both kinds of rows have them."""

    device: str
    torch: str
    triton: str
    commit: str


class Column(NamedTuple):
    """Describes a column of a benchmark: its meaning, its unit, and whether the command line prints it."""

    meaning: str
    unit: str = ""
    shown: bool = False


StatusOf = Annotated[Status, Column("ok, wrong, unsupported or out_of_memory; all but ok have no time", shown=True)]
ErrorOf = Annotated[
    float | None,
    Column(
        "largest relative error (2-norm) of any KV head's output against the method of harness/methods in float64",
        shown=True,
    ),
]
ToleranceOf = Annotated[float | None, Column("largest error that counts as right")]
ComparedOf = Annotated[
    float | None, Column("share of KV heads that were compared; in the others the choice of tokens hangs on a tie")
]
NoteOf = Annotated[str, Column("why there is no time")]
CopyOf = Annotated[float, Column("what a copy reaches on this device, read plus written", "GB/s")]
DeviceOf = Annotated[str, Column("name of the GPU or processor")]
TorchOf = Annotated[str, Column("version of PyTorch")]
TritonOf = Annotated[str, Column("version of Triton, or none")]
CommitOf = Annotated[str, Column("commit of the harness that was measured")]
Batch = Annotated[int, Column("rows", shown=True)]
Dtype = Annotated[str, Column("element type of K, V and the query")]
MethodOf = Annotated[str, Column("name of the method", shown=True)]


@dataclass(frozen=True, kw_only=True)
class AttentionRow:
    """Describes one implementation of one decode step of attention, over the whole batch."""

    batch: Batch
    s: Annotated[int, Column("cached tokens of every row", "tokens", shown=True)]
    heads: Annotated[int, Column("query heads", shown=True)]
    kv_heads: Annotated[int, Column("KV heads", shown=True)]
    d: Annotated[int, Column("head dimension")]
    dtype: Dtype
    method: MethodOf
    path: Annotated[str, Column("implementation: a backend of PyTorch's SDPA, torch or triton", shown=True)]
    r: Annotated[int | None, Column("channels of SparQ", shown=True)]
    k: Annotated[int | None, Column("the method's k", "tokens", shown=True)]
    k_stored: Annotated[int, Column("copies of K: 2 if it is stored by rows and by channels", shown=True)]
    status: StatusOf
    error: ErrorOf
    tolerance: ToleranceOf
    compared: ComparedOf
    note: NoteOf
    us: Annotated[float | None, Column("median time of a call", "us", shown=True)] = None
    us_p10: Annotated[float | None, Column("10th percentile", "us", shown=True)] = None
    us_p90: Annotated[float | None, Column("90th percentile", "us", shown=True)] = None
    us_per_query: Annotated[float | None, Column("us / batch", "us")] = None
    clock: Annotated[str | None, Column("what timed it: cuda graph or clock")] = None
    bytes: Annotated[float, Column("what the call has to move", "bytes")]
    gbps: Annotated[float | None, Column("bytes / us", "GB/s", shown=True)] = None
    speedup_theory: Annotated[float, Column("bytes of dense attention / bytes", shown=True)]
    speedup: Annotated[float | None, Column("us of the fastest SDPA backend of this shape / us", shown=True)] = None
    copy_gbps: CopyOf
    device: DeviceOf
    torch: TorchOf
    triton: TritonOf
    commit: CommitOf
    copy_share: Annotated[float | None, Column("gbps / copy_gbps", shown=True)] = None


@dataclass(frozen=True, kw_only=True)
class GenerateRow:
    """Describes whole decode steps of a model, one token for every row, under one implementation of one method."""

    model: Annotated[str, Column("name of the model")]
    dtype: Dtype
    batch: Batch
    seq: Annotated[int, Column("cached tokens of every row, the newest included", "tokens", shown=True)]
    method: MethodOf
    params: Annotated[str, Column("the method's knobs", shown=True)]
    backend: Annotated[str, Column("implementation: a backend of PyTorch's SDPA, torch or triton", shown=True)]
    compression: Annotated[float, Column("dense / method transfers", shown=True)]
    status: StatusOf
    error: ErrorOf
    tolerance: ToleranceOf
    compared: ComparedOf
    note: NoteOf
    ms_per_token: Annotated[float | None, Column("median time of a step", "ms", shown=True)] = None
    p10_ms: Annotated[float | None, Column("10th percentile", "ms")] = None
    p90_ms: Annotated[float | None, Column("90th percentile", "ms")] = None
    tokens_per_second: Annotated[float | None, Column("of the whole batch", "tokens/s", shown=True)] = None
    attention_ms: Annotated[float | None, Column("ms_per_token - rest_ms", "ms", shown=True)] = None
    rest_ms: Annotated[float | None, Column("a step whose attention is left out", "ms", shown=True)] = None
    model_ms: Annotated[float, Column("bytes of weights and KV cache at the copy bandwidth", "ms", shown=True)]
    how: Annotated[str | None, Column("what timed it: cuda graph or clock")] = None
    speedup: Annotated[float | None, Column("the fastest SDPA backend's time / ms_per_token", shown=True)] = None
    copy_gbps: CopyOf
    device: DeviceOf
    torch: TorchOf
    triton: TritonOf
    commit: CommitOf


def columns(row: type[Any]) -> dict[str, Column]:
    """Return the columns of a kind of row by name, in their order."""
    hints = get_type_hints(row, include_extras=True)
    return {field.name: next(iter(hints[field.name].__metadata__)) for field in fields(row)}


def shown(row: type[Any]) -> list[str]:
    """List the columns that the command line prints."""
    return [name for name, column in columns(row).items() if column.shown]


def markdown(row: type[Any]) -> Iterator[str]:
    """Yield the lines of a table of the columns."""
    yield from ("| column | unit | meaning |", "|---|---|---|")
    yield from (f"| `{name}` | {column.unit} | {column.meaning} |" for name, column in columns(row).items())


def table(rows: Sequence[AttentionRow] | Sequence[GenerateRow]) -> pd.DataFrame:
    """Return rows as a table; what a row lacks is NaN."""
    lines = [{name: math.nan if value is None else value for name, value in asdict(row).items()} for row in rows]
    return pd.DataFrame(lines)


def with_speedup(rows: Sequence[GenerateRow]) -> list[GenerateRow]:
    """Fill in the speed-up over the fastest of PyTorch's own dense backends at the same batch and length."""
    best: dict[tuple[int, int], float] = {}
    for row in rows:
        if methods.find(row.method).is_dense and row.backend != "triton" and row.ms_per_token:
            best[row.batch, row.seq] = min(row.ms_per_token, best.get((row.batch, row.seq), math.inf))
    return [
        replace(row, speedup=best[row.batch, row.seq] / row.ms_per_token)
        if row.ms_per_token and (row.batch, row.seq) in best
        else row
        for row in rows
    ]
