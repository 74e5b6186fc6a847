"""Reads summary.csv and rows.parquet by column names, whichever version wrote them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import InputError
from harness.tables.column import Averaging, Column, Kind
from harness.tables.columns import ROWS, SUMMARY, names

REWRITE = "run the same job again, which writes it anew from the outputs"


class SummaryTable(NamedTuple):
    """Holds a summary with every column of today, and the names of those that its file lacks: they are NaN."""

    table: pd.DataFrame
    lacking: list[str]


def read_summary(file: Path) -> SummaryTable:
    """Read a run's summary.csv. Columns of another version stand after those of today.

    Raises InputError if it is torn (no table, or no newline at its end) or lacks an essential column.
    """
    texts = {column.name: str for column in SUMMARY if column.summary_kind is Kind.TEXT}
    try:
        found = pd.read_csv(file, dtype=texts, keep_default_na=False, na_values=[""])
        whole = file.read_bytes().endswith(b"\n")
    except ValueError:  # pandas' own errors of parsing, and bytes that are no text
        whole = False
    if not whole:
        raise InputError(f"{file} is torn: {REWRITE}")
    _check_essential(file, SUMMARY, found.columns)
    known = names(SUMMARY)
    more = [name for name in found.columns if name not in known]
    return SummaryTable(found.reindex(columns=[*known, *more]), [name for name in known if name not in found.columns])


def read_rows(file: Path, wanted: Sequence[str]) -> pd.DataFrame:
    """Read columns of a run's rows.parquet, without those that it lacks; text of a whole cell comes as categories.

    NaN would say something else: an empty first_difference is an output that equals dense's. Raises InputError if the
    file is torn or lacks an essential column.
    """
    there = row_columns(file)
    _check_essential(file, [column for column in ROWS if column.name in wanted], there)
    found = [name for name in wanted if name in there]
    labels = [column.name for column in ROWS if column.kind is Kind.TEXT and column.averaging is Averaging.SAME]
    try:
        table = pq.read_table(file, columns=found, read_dictionary=[name for name in found if name in labels])
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from None
    frame: pd.DataFrame = table.to_pandas()
    return frame


def row_columns(file: Path) -> set[str]:
    """Read which columns a run's rows.parquet has. Raises InputError if the file is torn."""
    try:
        return set(pq.read_schema(file).names)
    except (pa.ArrowInvalid, OSError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> InputError:
    return InputError(f"{file} cannot be read ({error}): {REWRITE}")


def _check_essential(file: Path, columns: Sequence[Column], there: Collection[str]) -> None:
    for column in columns:
        if column.essential and column.name not in there:
            raise InputError(f"{file} lacks the column {column.name}: {REWRITE}")
