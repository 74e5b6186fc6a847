"""Defines what the files of a run hold, and reads them by field name, whichever version wrote them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from harness.store.files import read_lines

Key = tuple[str, str]
"""(unit, cell) of an example run."""
T = TypeVar("T", "Record", "Failure")


@dataclass(frozen=True)
class Record:
    """Holds what one cell made of one unit of work.

    nll in nats per token; seconds is its share of the decoding time, shared_seconds of everything else in its batch;
    launch names the line of launches.jsonl with the commit and versions that computed it; share is what part of dense's
    bytes its decode steps moved, where the method measures that and there was one. divergence is what a comparison with
    dense found, where one was asked for and there was a step: the fields of harness.engine.divergence.Divergence, the
    lengths of draft as text. A field that is added needs a default: lines written before it are read with that.
    """

    unit: str
    cell: str
    example: str
    tokens: list[int]
    nll: list[float]
    greedy: bool
    active: bool
    seconds: float
    prompt_tokens: int
    text: str = ""
    shared_seconds: float = 0.0
    cut_tokens: int = 0
    launch: str = ""
    share: float | None = None
    divergence: Mapping[str, Any] | None = None

    @property
    def key(self) -> Key:
        """Return which example run this is."""
        return self.unit, self.cell


@dataclass(frozen=True)
class Failure:
    """Describes an example run that could not be finished: one sentence, and the traceback for whoever mends it."""

    unit: str
    cell: str
    example: str
    error: str
    trace: str = ""

    @property
    def key(self) -> Key:
        """Return which example run this is."""
        return self.unit, self.cell


class StoredRecord(NamedTuple):
    """Holds a record as it was read, and whether the batch it was computed in is all there."""

    record: Record
    in_whole_batch: bool


def read_records(folder: Path) -> Iterator[StoredRecord]:
    """Read the records of all shards in the order they were written.

    A line that lacks a field without a default is as good as torn: it counts as missing from its batch.
    """
    for file in sorted(folder.glob("outputs*.jsonl")):
        yield from _by_batch(read_lines(file))


def read_failures(folder: Path) -> Iterator[Failure]:
    """Read the failures of the latest launch, of all shards."""
    make = _maker(Failure)
    for file in sorted(folder.glob("errors*.jsonl")):
        yield from filter(None, map(make, read_lines(file)))


def _by_batch(lines: Iterable[Mapping[str, Any]]) -> Iterator[StoredRecord]:
    """Group readable lines that stand together by their `batch`, "NAME/COUNT"; one without it stands for itself."""
    make = _maker(Record)
    readable = ((line.get("batch"), record) for line in lines if (record := make(line)) is not None)
    for batch, group in itertools.groupby(readable, key=lambda pair: pair[0]):
        records = [record for _, record in group]
        whole = batch is None or str(batch).endswith(f"/{len(records)}")
        yield from (StoredRecord(record, whole) for record in records)


def _maker(kind: type[T]) -> Callable[[Mapping[str, Any]], T | None]:
    """Return a function that makes a record of a line's fields by name; None if one without a default is lacking."""
    names = [field.name for field in fields(kind)]
    required = {field.name for field in fields(kind) if field.default is MISSING}

    def make(line: Mapping[str, Any]) -> T | None:
        if not required <= line.keys():
            return None
        return kind(**{name: line[name] for name in names if name in line})

    return make
