"""Compares the tables of two results folders, without timings and names of launches. Exit code 1 if they differ.

python scripts/compare_tables.py FOLDER FOLDER: every summary.csv and rows.parquet below the folders.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

APART = ["seconds", "run", "launch"]
"""Columns that differ between two runs of one job: measured times, and what names a folder or a launch."""


def main() -> int:
    """Compare the two folders on the command line."""
    one, other = (tables(Path(folder)) for folder in sys.argv[1:3])
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    for name in different:
        print(f"{name} differs")
    if not one or different:
        return 1
    print(f"{len(one)} tables, {sum(map(len, one.values()))} bytes without timings: identical")
    return 0


def tables(results: Path) -> dict[str, str]:
    """Read every table below a results folder, by its path, as text that differs where a number does."""
    found = {file: _summary(file) for file in results.rglob("summary.csv")}
    found |= {file: _rows(file) for file in results.rglob("rows.parquet")}
    return {str(file.relative_to(results)): text for file, text in sorted(found.items())}


def _summary(file: Path) -> str:
    """Read the cells as they are written: no number is parsed."""
    return _text(pd.read_csv(file, dtype=str, keep_default_na=False))


def _rows(file: Path) -> str:
    """Read the rows with the types of their columns; numbers are printed with all their digits."""
    rows = pd.read_parquet(file)
    return _text(rows) + rows.drop(columns=APART, errors="ignore").dtypes.to_string()


def _text(table: pd.DataFrame) -> str:
    return str(table.drop(columns=APART, errors="ignore").to_csv(index=False))


if __name__ == "__main__":
    sys.exit(main())
