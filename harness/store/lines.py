"""Reads the lines of a run's files by field name, whichever version wrote them; what cannot be read is noted."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from harness.store.notes import Notes
from harness.store.plain import UnreadableError, every, read_lines
from harness.store.records import Answer, Asked, Failure, Launch, Record
from harness.store.schema import Schema

T = TypeVar("T")
UNIT = re.compile(rb'"unit": ?"([^"\\]*)"')
RECORD, FAILURE, ASKED, LAUNCH = Schema.of(Record), Schema.of(Failure), Schema.of(Asked), Schema.of(Launch)
ANSWER = Schema.of(Answer, RECORD.known)


class StoredRecord(NamedTuple):
    """Holds a record as it was read, and whether the batch it was computed in is all there."""

    record: Record
    in_whole_batch: bool


def no_fault(_: Any) -> str:
    """Find nothing wrong."""
    return ""


def read_records(folder: Path, notes: Notes, fault: Callable[[Record], str] = no_fault) -> Iterator[StoredRecord]:
    """Read the records of all shards in the order they were written.

    A line that is no record, or of which `fault` says what is wrong with it, is as good as torn: it is left out, and
    counts as missing from its batch.
    """
    for file in sorted(folder.glob("outputs*.jsonl")):
        yield from _by_batch(_read(file, RECORD, notes, fault))


def read_failures(folder: Path, notes: Notes) -> Iterator[Failure]:
    """Read the failures of the latest launch, of all shards."""
    for file in sorted(folder.glob("errors*.jsonl")):
        yield from _read(file, FAILURE, notes)


def read_answers(folder: Path, units: Collection[str], notes: Notes) -> Iterator[Answer]:
    """Read the outputs of some units. Only their lines are parsed: a file may hold a million."""
    wanted = {unit.encode() for unit in units}

    def is_wanted(line: bytes) -> bool:
        found = UNIT.search(line)
        return found is not None and found[1] in wanted

    for file in sorted(folder.glob("outputs*.jsonl")) if wanted else ():
        yield from (answer for answer in _read(file, ANSWER, notes, wanted=is_wanted) if answer.unit in units)


def read_asked(folder: Path, notes: Notes) -> Iterator[Asked]:
    """Read what was asked, a line per unit."""
    return _read(folder / "examples.jsonl", ASKED, notes)


def read_launches(folder: Path, notes: Notes) -> Iterator[Launch]:
    """Read what each launch ran on."""
    return _read(folder / "launches.jsonl", LAUNCH, notes)


def _read(
    file: Path,
    schema: Schema[T],
    notes: Notes,
    fault: Callable[[T], str] = no_fault,
    wanted: Callable[[bytes], bool] = every,
) -> Iterator[T]:
    """Read the lines of a file that are of a schema and without fault; note the others, and fields unknown to it."""
    try:
        for line in read_lines(file, wanted):
            try:
                found = line.found()
                made = schema.read(found)
                reason = fault(made)
            except UnreadableError as error:
                reason = str(error)
            if reason:
                notes.leave_out_line(file, line.number, reason)
                continue
            if not found.keys() <= schema.known:
                notes.pass_over(file, found.keys() - schema.known)
            yield made
    except UnreadableError as error:
        notes.leave_out(file, str(error))


def _by_batch(records: Iterable[Record]) -> Iterator[StoredRecord]:
    """Group records that stand together by their batch; one without stands for itself."""
    for batch, group in itertools.groupby(records, key=lambda record: record.batch):
        found = [*group]
        whole = batch is None or batch.endswith(f"/{len(found)}")
        yield from (StoredRecord(record, whole) for record in found)
