"""Prints and writes the table of a benchmark."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from harness.errors import InputError


def add_result_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that say where the table goes, and what it is said to come from."""
    result = parser.add_argument_group("result")
    result.add_argument("--commit", metavar="TEXT", help="what to note as the commit where there is no git")
    result.add_argument(
        "--out", metavar="FILE", type=Path, help="a CSV file to write; `harness figures --bench` draws it"
    )


def check_out(out: Path | None) -> None:
    """Raise InputError, before anything is measured, unless the file can be written."""
    try:
        if out is not None:
            out.parent.mkdir(parents=True, exist_ok=True)
            out.open("a").close()
    except OSError as error:
        raise InputError(f"--out {out} cannot be written ({error.strerror}): choose another file") from None


def write_table(about: str, table: pd.DataFrame, shown: Sequence[str], out: Path | None) -> None:
    """Print a line about the measurement and the columns that are shown, and write all columns as CSV."""
    sys.stdout.write(f"{about}\n{table[list(shown)].to_string(index=False, na_rep='', float_format=_short)}\n")
    if out is not None:
        table.to_csv(out, index=False, float_format="%.6g")


def _short(value: float) -> str:
    """Write two decimals, or two digits of what is smaller."""
    return f"{value:.1e}" if 0 < abs(value) < 0.01 else f"{value:.2f}"
