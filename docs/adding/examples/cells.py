"""`harness cells`: the cells of each run, a line each."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.commands.parser import Parser
from harness.errors import InputError
from harness.store.files import read_json

ABOUT = "List the cells of each run of a results folder."


def add_arguments(parser: Parser) -> None:
    """Declare the folder."""
    parser.add_argument("results", nargs="?", default="results", type=Path, help="results; results/ by default")


def run(given: argparse.Namespace) -> None:
    """Print the cells that each run planned last. Raises InputError if there is no run."""
    files = sorted(given.results.glob("*/run.json"))
    if not files:
        raise InputError(f"no run found in {given.results}: `harness run results={given.results}` makes some")
    for file in files:
        for cell in read_json(file).get("planned", ()):
            sys.stdout.write(f"{file.parent.name}  {cell}\n")
