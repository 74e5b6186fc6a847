"""Describes the columns that benchmarks share, each once, with its meaning and unit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from enum import StrEnum
from typing import Annotated, Any, NamedTuple, TypedDict, get_type_hints


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
    ABSENT = "absent"
    """The library that the implementation comes from is not installed; nothing was tried."""


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


StatusOf = Annotated[Status, Column("one of the statuses above; all but ok have no time", shown=True)]
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
