"""Compares the tables of two results folders, without timings and names of launches. Exit code 1 if they differ.

python scripts/compare_tables.py BEFORE AFTER: every summary.csv and rows.parquet below the folders. Columns that only
AFTER has came later: they are named, and not compared.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

APART = ["seconds", "run", "launch"]
"""Columns that differ between two runs of one job: measured times, and what names a folder or a launch."""


def main() -> int:
    """Compare the two folders on the command line."""
    before, after = Path(sys.argv[1]), Path(sys.argv[2])
    later = sorted(columns(after) - columns(before))
    one, other = tables(before), tables(after, later)
    different = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
    for name in different:
        print(f"{name} differs")
    if later:
        print(f"not compared, for the first folder lacks them: {', '.join(later)}")
    if not one or different:
        return 1
    print(f"{len(one)} tables, {sum(map(len, one.values()))} bytes without timings: identical")
    return 0


def columns(results: Path) -> set[str]:
    """Read the names of all columns of the tables below a results folder."""
    summaries = (pd.read_csv(file, nrows=0) for file in results.rglob("summary.csv"))
    rows = (pd.read_parquet(file) for file in results.rglob("rows.parquet"))
    return {str(name) for table in (*summaries, *rows) for name in table.columns}


def tables(results: Path, apart: Sequence[str] = ()) -> dict[str, str]:
    """Read every table below a results folder, by its path, as text that differs where a number does.

    Columns that are set `apart` are left out.
    """
    found = {file: _summary(file, apart) for file in results.rglob("summary.csv")}
    found |= {file: _rows(file, apart) for file in results.rglob("rows.parquet")}
    return {str(file.relative_to(results)): text for file, text in sorted(found.items())}


def _summary(file: Path, apart: Sequence[str]) -> str:
    """Read the cells as they are written: no number is parsed."""
    return _text(pd.read_csv(file, dtype=str, keep_default_na=False), apart)


def _rows(file: Path, apart: Sequence[str]) -> str:
    """Read the rows with the types of their columns; numbers are printed with all their digits."""
    rows = pd.read_parquet(file)
    return _text(rows, apart) + rows.drop(columns=[*APART, *apart], errors="ignore").dtypes.to_string()


def _text(table: pd.DataFrame, apart: Sequence[str]) -> str:
    return str(table.drop(columns=[*APART, *apart], errors="ignore").to_csv(index=False))


if __name__ == "__main__":
    sys.exit(main())
