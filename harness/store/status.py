"""Counts what of a run is done, missing or failed, from its files alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.store.description import read_description
from harness.store.lines import read_asked, read_failures, read_records
from harness.store.notes import Notes
from harness.text import printable


@dataclass(frozen=True)
class CellStatus:
    """Counts example runs of a cell; `seconds_left` is None where nothing was run that could tell."""

    cell: str
    done: int
    failed: int
    missing: int
    seconds_left: float | None


@dataclass(frozen=True)
class RunStatus:
    """Describes a run's folder as its latest launch planned it.

    `note` says why nothing can be counted, `left_out` in sentences what of its files is not used.
    """

    name: str
    cells: tuple[CellStatus, ...]
    note: str = ""
    left_out: tuple[str, ...] = ()


def run_status(folder: Path) -> RunStatus:
    """Count what one run's folder holds, a line at a time."""
    notes, name = Notes(), printable(folder.name)
    cells = list(dict.fromkeys(read_description(folder, notes).description.planned))
    units = {asked.unit for asked in read_asked(folder, notes)}
    if not cells or not units:
        note = "run.json or examples.jsonl is torn or old: the next launch writes it anew"
        return RunStatus(name, (), note, tuple(notes.sentences()))
    counted = _count(folder, cells, units, notes)
    return RunStatus(name, counted, left_out=tuple(notes.sentences()))


def _count(folder: Path, cells: Sequence[str], units: set[str], notes: Notes) -> tuple[CellStatus, ...]:
    """Count what is finished and what failed of each cell."""
    finished = _finished(folder, cells, units, notes)
    failed: dict[str, set[str]] = {cell: set() for cell in cells}
    for failure in read_failures(folder, notes):
        if failure.cell in failed and failure.unit in units:
            failed[failure.cell].add(failure.unit)
    total = sum(len(done.units) for done in finished.values())
    typical = sum(done.seconds for done in finished.values()) / max(1, total)
    return tuple(_cell_status(cell, finished[cell], failed[cell], len(units), typical) for cell in cells)


@dataclass
class _Finished:
    """Holds the finished units of a cell, and the seconds that they took."""

    units: set[str] = field(default_factory=set)
    seconds: float = 0.0


def _finished(folder: Path, cells: Sequence[str], units: set[str], notes: Notes) -> dict[str, _Finished]:
    """Read what is finished of each cell."""
    found = {cell: _Finished() for cell in cells}
    for record, in_whole_batch in read_records(folder, notes):
        if in_whole_batch and record.cell in found and record.unit in units:
            found[record.cell].units.add(record.unit)
            found[record.cell].seconds += record.seconds + record.shared_seconds
    return found


def _cell_status(cell: str, finished: _Finished, failed: set[str], units: int, typical: float) -> CellStatus:
    """Count a cell; `typical` seconds of an example run stand for a cell of which none is finished."""
    done, lost = len(finished.units), len(failed - finished.units)
    left = units - done
    each = finished.seconds / done if done else typical
    return CellStatus(printable(cell), done, lost, left - lost, left * each if typical else None)
