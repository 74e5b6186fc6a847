"""Counts what of a run is done, missing or failed, from its files alone."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from harness.errors import InputError
from harness.store.files import read_json, read_lines
from harness.store.records import read_failures, read_records


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
    """Describes a run's folder as its latest launch planned it; `note` says what could not be read."""

    name: str
    cells: tuple[CellStatus, ...]
    note: str = ""


def status_command(arguments: Sequence[str]) -> None:
    """Print the state of every run of a results folder. Raises InputError if there is none."""
    parser = argparse.ArgumentParser(prog="harness status", description=__doc__)
    parser.add_argument("results", nargs="?", default="results", type=Path)
    root = parser.parse_args(list(arguments)).results
    folders = [root] if (root / "run.json").exists() else sorted(file.parent for file in root.glob("*/run.json"))
    if not folders:
        raise InputError(f"no run found in {root}: `harness run results={root}` makes some")
    for folder in folders:
        sys.stdout.write("".join(f"{line}\n" for line in _lines(run_status(folder))))


def run_status(folder: Path) -> RunStatus:
    """Count what one run's folder holds, a line at a time."""
    cells = [str(cell) for cell in read_json(folder / "run.json").get("planned") or ()]
    units = {str(line.get("unit")) for line in read_lines(folder / "examples.jsonl")}
    if not cells or not units:
        return RunStatus(folder.name, (), "run.json or examples.jsonl is torn or old: the next launch writes it anew")
    finished = _finished(folder, cells, units)
    failed: dict[str, set[str]] = {cell: set() for cell in cells}
    for failure in read_failures(folder):
        if failure.cell in failed and failure.unit in units:
            failed[failure.cell].add(failure.unit)
    total = sum(len(done.units) for done in finished.values())
    typical = sum(done.seconds for done in finished.values()) / max(1, total)
    return RunStatus(
        folder.name, tuple(_cell_status(cell, finished[cell], failed[cell], len(units), typical) for cell in cells)
    )


@dataclass
class _Finished:
    """Holds the finished units of a cell, and the seconds that they took."""

    units: set[str] = field(default_factory=set)
    seconds: float = 0.0


def _finished(folder: Path, cells: Sequence[str], units: set[str]) -> dict[str, _Finished]:
    """Read what is finished of each cell."""
    found = {cell: _Finished() for cell in cells}
    for record, in_whole_batch in read_records(folder):
        if in_whole_batch and record.cell in found and record.unit in units:
            found[record.cell].units.add(record.unit)
            found[record.cell].seconds += record.seconds + record.shared_seconds
    return found


def _cell_status(cell: str, finished: _Finished, failed: set[str], units: int, typical: float) -> CellStatus:
    """Count a cell; `typical` seconds of an example run stand for a cell of which none is finished."""
    done, lost = len(finished.units), len(failed - finished.units)
    left = units - done
    each = finished.seconds / done if done else typical
    return CellStatus(cell, done, lost, left - lost, left * each if typical else None)


def _lines(run: RunStatus) -> Iterator[str]:
    done, failed, missing = (sum(getattr(cell, name) for cell in run.cells) for name in ("done", "failed", "missing"))
    yield f"{run.name}: {run.note or f'{done} done, {failed} failed, {missing} missing{_left(run)}'}"
    if failed or missing:
        width = max(len(cell.cell) for cell in run.cells)
        for cell in run.cells:
            yield f"  {cell.cell:<{width}}  done {cell.done:>7}  failed {cell.failed:>5}  missing {cell.missing:>7}"


def _left(run: RunStatus) -> str:
    """Estimate the time of one process that is left, in words; shards divide it."""
    if not any(cell.missing + cell.failed for cell in run.cells):
        return ""
    known = [cell.seconds_left for cell in run.cells if cell.seconds_left is not None]
    return f", about {_duration(sum(known))} left on one device" if known else ", no batch done to tell how long"


def _duration(seconds: float) -> str:
    """Write a duration in the largest unit that leaves a number above one and a half."""
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("min", 60)) if seconds > 1.5 * size), ("s", 1))
    return f"{math.ceil(seconds / size)} {unit}"
