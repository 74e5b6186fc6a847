"""Describes the lines of the benchmarks, and makes tables of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Annotated

import pandas as pd

from harness import methods
from harness.bench.columns import (
    Batch,
    Column,
    CommitOf,
    ComparedOf,
    CopyOf,
    DeviceOf,
    Dtype,
    ErrorOf,
    MethodOf,
    NoteOf,
    StatusOf,
    ToleranceOf,
    TorchOf,
    TritonOf,
)


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
    path: Annotated[str, Column("implementation: a backend of PyTorch's SDPA, torch, triton, or a rival's", shown=True)]
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
class FamilyRow:
    """Describes one decode step of attention by one method at about the bytes of all others, over the whole batch."""

    batch: Batch
    s: Annotated[int, Column("cached tokens of every row", "tokens", shown=True)]
    heads: Annotated[int, Column("query heads")]
    kv_heads: Annotated[int, Column("KV heads")]
    d: Annotated[int, Column("head dimension")]
    dtype: Dtype
    family: Annotated[str, Column("family of the method", shown=True)]
    method: MethodOf
    params: Annotated[str, Column("the method's knobs, solved in this layer alone")]
    access: Annotated[str, Column("how a step finds what it reads")]
    path: Annotated[
        str, Column("triton, torch (launched from Python), or for dense a backend of PyTorch's SDPA", shown=True)
    ]
    asked: Annotated[float, Column("compression that was asked for")]
    compression: Annotated[
        float | None, Column("bytes of dense attention / bytes, the next lower one in reach", shown=True)
    ]
    estimated: Annotated[bool, Column("True if what is moved depends on the data: bytes are then the plan's")]
    rows: Annotated[int, Column("rows of the batch that were compared")]
    status: StatusOf
    error: ErrorOf
    tolerance: ToleranceOf
    compared: ComparedOf
    note: NoteOf
    us: Annotated[float | None, Column("median time of a call", "us", shown=True)] = None
    us_p10: Annotated[float | None, Column("10th percentile", "us")] = None
    us_p90: Annotated[float | None, Column("90th percentile", "us")] = None
    clock: Annotated[str | None, Column("what timed it: cuda graph or clock")] = None
    choose_bytes: Annotated[float | None, Column("read to choose", "bytes")] = None
    attend_bytes: Annotated[float | None, Column("read to attend", "bytes")] = None
    write_bytes: Annotated[float | None, Column("written", "bytes")] = None
    speedup: Annotated[float | None, Column("us of the fastest SDPA backend of this shape / us", shown=True)] = None
    copy_gbps: CopyOf
    device: DeviceOf
    torch: TorchOf
    triton: TritonOf
    commit: CommitOf


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


def table(rows: Sequence[AttentionRow | GenerateRow | FamilyRow]) -> pd.DataFrame:
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
