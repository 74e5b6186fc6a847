"""`harness status` counts what of each run is done, missing or failed."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterator
from pathlib import Path

from harness.commands.parser import Parser
from harness.errors import InputError
from harness.store.description import find_runs
from harness.store.status import RunStatus, run_status

ABOUT = "Count what of each run is done, missing or failed, and how long the rest will take."
EXAMPLES = """examples:
  harness status                          all runs of results/
  harness status results/smollm2-squad-*  one run, from its own folder

It reads files only, also while runs are at work.
"""


def add_arguments(parser: Parser) -> None:
    """Declare the folder."""
    parser.epilog = EXAMPLES
    parser.add_argument("results", nargs="?", default="results", type=Path, help="results, or one run's folder")


def run(given: argparse.Namespace) -> None:
    """Print the state of every run of a results folder. Raises InputError if there is none."""
    root = given.results
    folders = find_runs(root)
    if not folders:
        raise InputError(f"no run found in {root}: `harness run results={root}` makes some")
    for found in map(run_status, folders):
        sys.stdout.write("".join(f"{line}\n" for line in _lines(found)))
        sys.stderr.write("".join(f"harness: {sentence}\n" for sentence in found.left_out))


def _lines(run: RunStatus) -> Iterator[str]:
    """Describe a run in one line, and where something is left each of its cells."""
    done, failed, missing = (sum(getattr(cell, name) for cell in run.cells) for name in ("done", "failed", "missing"))
    yield f"{run.name}: {run.note or f'{done} done, {failed} failed, {missing} missing{_left(run)}'}"
    if failed or missing:
        width = max(len(cell.cell) for cell in run.cells)
        for cell in run.cells:
            yield f"  {cell.cell:<{width}}  done {cell.done:>7}  failed {cell.failed:>5}  missing {cell.missing:>7}"


def _left(run: RunStatus) -> str:
    """Say how long the rest takes one process; shards divide it."""
    if not any(cell.missing + cell.failed for cell in run.cells):
        return ""
    known = [cell.seconds_left for cell in run.cells if cell.seconds_left is not None]
    return f", about {_duration(sum(known))} left on one device" if known else ", no batch done to tell how long"


def _duration(seconds: float) -> str:
    """Write a time in the largest unit that leaves a number above one and a half."""
    unit, size = next(((unit, size) for unit, size in (("h", 3600), ("min", 60)) if seconds > 1.5 * size), ("s", 1))
    return f"{math.ceil(seconds / size)} {unit}"
