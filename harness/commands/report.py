"""`harness report` makes tables, figures and a page of every run of a results folder. No torch."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from harness.commands.parser import Parser
from harness.commands.sources import add_source_arguments, read_results, read_sources
from harness.report.against.verdicts import VERDICTS
from harness.report.write import write_report

ABOUT = "Make tables, figures and an interactive page of all runs of a results folder."
EXAMPLES = """examples:
  harness report                                  results/ into results/report/
  harness report results/ --against published     with the paper's numbers beside ours
  harness report results/ --models smollm2 --tasks squad wikitext --out out/
"""
MOST_NOTES = 10
"""Notices printed in the terminal; the report has them all."""


def add_arguments(parser: Parser) -> None:
    """Declare what is reported and where it goes."""
    parser.epilog = EXAMPLES
    parser.add_argument("results", nargs="?", type=Path, default=Path("results"), help="results, or one run's folder")
    add_source_arguments(parser, "folder to write to; RESULTS/report by default")


def run(given: argparse.Namespace) -> None:
    """Write the report and say where it is. Raises InputError for a folder without results."""
    out = given.out or given.results / "report"
    results = read_results(given)
    judged, notices = write_report(results, read_sources(given, results), out)
    told = [sentence for sentence in notices if sentence not in results.left_out]
    lines = [*_notes(told, out), *_verdicts(judged)]
    lines.append(f"{len(results.cells)} cells -> {out / 'index.html'}, {out / 'tables'}, {out / 'figures'}")
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _notes(notices: Sequence[str], out: Path) -> Iterator[str]:
    """Say what was left out, as far as it fits."""
    yield from (f"note: {sentence}" for sentence in notices[:MOST_NOTES])
    if len(notices) > MOST_NOTES:
        yield f"note: {len(notices) - MOST_NOTES} more in {out / 'notices.md'}"


def _verdicts(judged: pd.DataFrame | None) -> Iterator[str]:
    """Count how many cells agree with the published numbers."""
    if judged is not None:
        counts = judged["verdict"].value_counts()
        yield "against published: " + ", ".join(f"{counts.get(verdict, 0)} {verdict}" for verdict in VERDICTS)
