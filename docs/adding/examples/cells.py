"""`harness cells`: the cells of each run, a line each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.commands.parser import Parser
from harness.errors import InputError
from harness.store.description import find_runs, read_description
from harness.store.notes import Notes

ABOUT = "List the cells of each run of a results folder."


def add_arguments(parser: Parser) -> None:
    """Declare the folder."""
    parser.add_argument("results", nargs="?", default="results", type=Path, help="results; results/ by default")


def run(given: argparse.Namespace) -> None:
    """Print the cells that each run planned last. Raises InputError if there is no run."""
    folders, notes = find_runs(given.results), Notes()
    if not folders:
        raise InputError(f"no run found in {given.results}: `harness run results={given.results}` makes some")
    for folder in folders:
        for cell in read_description(folder, notes).description.planned:
            sys.stdout.write(f"{folder.name}  {cell}\n")
    sys.stderr.write("".join(f"harness: {sentence}\n" for sentence in notes.sentences()))
