"""Reads what a report or a figure is made from, by arguments that both commands have."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.commands.parser import Parser
from harness.report.against.published import published
from harness.report.load import Results, load
from harness.report.sources import Sources, read_benchmarks


def add_source_arguments(parser: Parser, out: str) -> None:
    """Declare which results are taken, and where the output goes."""
    parser.add_argument("--out", type=Path, metavar="FOLDER", help=out)
    parser.add_argument("--against", choices=["published"], help="overlay the paper's numbers, with verdicts")
    parser.add_argument("--models", nargs="+", default=[], metavar="MODEL", help="only these models")
    parser.add_argument("--tasks", nargs="+", default=[], metavar="TASK", help="only these tasks")
    parser.add_argument("--bench", nargs="+", type=Path, default=[], metavar="CSV", help="benchmarks to draw")


def read_timings(given: argparse.Namespace) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the benchmarks asked for, else those of the results folder: of attention, and of whole models."""
    return read_benchmarks(given.bench or sorted(given.results.glob("bench/*.csv")))


def read_results(given: argparse.Namespace) -> Results:
    """Read the results of the models and tasks asked for. Raises InputError where there are none."""
    return load(given.results).only(_split(given.models), _split(given.tasks))


def read_sources(given: argparse.Namespace, results: Results) -> Sources:
    """Read what is laid beside some results: benchmarks, and the published points where they are asked for."""
    return Sources(results, published() if given.against else None, *read_timings(given))


def _split(names: Sequence[str]) -> list[str]:
    return [part for name in names for part in name.split(",") if part]
