"""`harness status`: what of a results folder is done, missing or failed, from its files alone."""

from __future__ import annotations

import argparse
import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness.errors import InputError
from harness.store.files import read_json, read_lines
from harness.store.records import stored_failures, stored_lines


@dataclass(frozen=True)
class CellStatus:
    """Example runs of a cell; `seconds_left` is None where nothing was run that could tell."""

    cell: str
    done: int
    failed: int
    missing: int
    seconds_left: float | None


@dataclass(frozen=True)
class RunStatus:
    """A folder of one run, as its latest launch planned it; `note` says what could not be read."""

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
        sys.stdout.write("".join(f"{line}\n" for line in _told(run_status(folder))))


def run_status(folder: Path) -> RunStatus:
    """Count what one run's folder holds, a line at a time."""
    cells = [str(cell) for cell in read_json(folder / "run.json").get("planned", ())]
    units = {str(line.get("unit")) for line in read_lines(folder / "examples.jsonl")}
    if not cells or not units:
        return RunStatus(folder.name, (), "run.json or examples.jsonl is torn or old: the next launch writes it anew")
    done, seconds = _done(folder, cells, units)
    failed: dict[str, set[str]] = {cell: set() for cell in cells}
    for line in stored_failures(folder):
        if line.get("cell") in failed and line.get("unit") in units:
            failed[line["cell"]].add(line["unit"])
    typical = sum(seconds.values()) / max(1, sum(map(len, done.values())))
    found = []
    for cell in cells:
        left, lost = len(units) - len(done[cell]), len(failed[cell] - done[cell])
        each = seconds[cell] / len(done[cell]) if done[cell] else typical
        found.append(CellStatus(cell, len(done[cell]), lost, left - lost, left * each if typical else None))
    return RunStatus(folder.name, tuple(found))


def _done(folder: Path, cells: Sequence[str], units: set[str]) -> tuple[dict[str, set[str]], dict[str, float]]:
    """Finished units of each cell, and the seconds that they took."""
    done: dict[str, set[str]] = {cell: set() for cell in cells}
    seconds: dict[str, float] = defaultdict(float)
    for line, whole in stored_lines(folder):
        if whole and line["cell"] in done and line["unit"] in units:
            done[line["cell"]].add(line["unit"])
            seconds[line["cell"]] += line["seconds"] + line.get("shared_seconds", 0.0)
    return done, seconds


def _told(run: RunStatus) -> Iterator[str]:
    done, failed, missing = (sum(getattr(cell, name) for cell in run.cells) for name in ("done", "failed", "missing"))
    yield f"{run.name}: {run.note or f'{done} done, {failed} failed, {missing} missing{_left(run)}'}"
    if failed or missing:
        width = max(len(cell.cell) for cell in run.cells)
        for cell in run.cells:
            yield f"  {cell.cell:<{width}}  done {cell.done:>7}  failed {cell.failed:>5}  missing {cell.missing:>7}"


def _left(run: RunStatus) -> str:
    """Of one process; shards divide it."""
    if not any(cell.missing + cell.failed for cell in run.cells):
        return ""
    known = [cell.seconds_left for cell in run.cells if cell.seconds_left is not None]
    return f", about {_duration(sum(known))} left on one device" if known else ", no batch done to tell how long"


def _duration(seconds: float) -> str:
    """In the largest unit that leaves a number above one and a half."""
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("min", 60)) if seconds > 1.5 * size), ("s", 1))
    return f"{math.ceil(seconds / size)} {unit}"
