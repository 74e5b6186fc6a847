"""Reads what a report or a figure is made from, by arguments that both commands have."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from harness.commands.parser import Parser
from harness.report.against.published import published
from harness.report.load import Results, load
from harness.report.sources import Sources, find_benchmarks, read_benchmarks


def add_source_arguments(parser: Parser, out: str) -> None:
    """Declare which results are taken, and where the output goes."""
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    parser.add_argument("--against", choices=["published"], help="overlay the paper's numbers, with verdicts")
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="only these models")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="only these tasks")
    parser.add_argument("--bench", nargs="+", type=Path, default=[], metavar="CSV", help="benchmarks to draw")


def read_results(given: argparse.Namespace) -> Results:
    """Read the results of the models and tasks asked for, and name runs that cannot be read on standard error.

    Raises InputError where there are none.
    """
    found = load(given.results)
    _warn(found.left_out)
    return found.only(_split(given.models), _split(given.tasks))


def read_sources(given: argparse.Namespace, results: Results | None) -> Sources:
    """Read what is laid beside results, if any: the published points where they are asked for, and benchmarks.

    Of the results folder's own benchmarks, those that cannot be read are named on standard error. Raises InputError for
    one that was asked for.
    """
    overlaid = published() if given.against and results is not None else None
    if given.bench:
        return Sources(results, overlaid, *read_benchmarks(given.bench))
    attention, generate, left_out = find_benchmarks(sorted(given.results.glob("bench/*.csv")))
    _warn(left_out)
    return Sources(results, overlaid, attention, generate, left_out)


def _warn(sentences: Sequence[str]) -> None:
    sys.stderr.write("".join(f"harness: {sentence}\n" for sentence in sentences))


def _split(names: Sequence[str]) -> list[str]:
    return [part for name in names for part in name.split(",") if part]
