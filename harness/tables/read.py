"""Reads summary.csv and rows.parquet by column names, whichever version wrote them, and checks what is in them."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from harness.errors import InputError, first_line
from harness.store.plain import UnreadableError, open_plain, read_whole
from harness.tables.check import arrow_fault, column_fault
from harness.tables.column import Averaging, Column
from harness.tables.columns import ROWS, SUMMARY, names

REWRITE = "run the same job again, which writes it anew from the outputs"
MOST_ROWS = 20_000_000
"""Rows of a table that is read: a file of a few kB may say that it has any number."""
AT_ONCE = 100_000


class SummaryTable(NamedTuple):
    """Holds a summary with every column of today, the names of those that its file lacks (NaN), and of further ones."""

    table: pd.DataFrame
    lacking: list[str]
    more: list[str]


def read_summary(file: Path) -> SummaryTable:
    """Read a run's summary.csv. Columns of another version stand after those of today.

    Raises InputError if it is torn (no table, or no newline at its end), lacks an essential column, or holds in one
    what cannot stand there.
    """
    texts = {column.name: str for column in SUMMARY if column.is_text}
    with _as_input_error(file):
        text = read_whole(file)
        if not text.endswith(b"\n"):
            raise UnreadableError("it is torn")
        found = _parse(text, texts)
    _check_essential(file, SUMMARY, found.columns)
    faults = (column_fault(column, found[column.name]) for column in SUMMARY if column.name in found)
    for fault in filter(None, faults):
        raise _unreadable(file, fault)
    known = names(SUMMARY)
    more = [name for name in found.columns if name not in known]
    lacking = [name for name in known if name not in found.columns]
    return SummaryTable(found.reindex(columns=[*known, *more]), lacking, more)


def _parse(text: bytes, kinds: Mapping[str, type]) -> pd.DataFrame:
    try:
        return pd.read_csv(io.BytesIO(text), dtype=kinds, keep_default_na=False, na_values=[""], low_memory=False)
    except ValueError as error:  # pandas' own errors of parsing, and bytes that are no text
        raise UnreadableError(f"it is torn, or no table: {first_line(error)}") from None


def read_rows(file: Path, wanted: Sequence[str]) -> pd.DataFrame:
    """Read columns of a run's rows.parquet, without those that it lacks; text of a whole cell comes as categories.

    NaN would say something else: an empty first_difference is an output that equals dense's. Raises InputError if the
    file is torn or lacks an essential column.
    """
    there = row_columns(file)
    _check_essential(file, [column for column in ROWS if column.name in wanted], there)
    found = [name for name in wanted if name in there]
    labels = [column.name for column in ROWS if column.is_text and column.averaging is Averaging.SAME]
    with _as_input_error(file), open_plain(file) as stream:
        table = pq.read_table(stream, columns=found, read_dictionary=[name for name in found if name in labels])
        frame: pd.DataFrame = table.to_pandas()
    return frame


def row_columns(file: Path) -> set[str]:
    """Read which columns a run's rows.parquet has. Raises InputError if the file is torn."""
    with _as_input_error(file), open_plain(file) as stream:
        return set(pq.read_schema(stream).names)


def check_rows(file: Path) -> set[str] | None:
    """Read all of a run's rows.parquet once, a part at a time; returns its columns, None if there is no such file.

    Raises InputError if a part is torn, or a column holds what cannot stand there.
    """
    if not file.is_symlink() and not file.exists():
        return None
    with _as_input_error(file), open_plain(file) as stream:
        rows = pq.ParquetFile(stream)
        if rows.metadata.num_rows > MOST_ROWS:
            raise UnreadableError(f"it has more than {MOST_ROWS} rows")
        types = {field.name: field.type for field in rows.schema_arrow}
        known = [column for column in ROWS if column.name in types]
        for fault in filter(None, (arrow_fault(column, types[column.name]) for column in known)):
            raise UnreadableError(fault)
        for part in rows.iter_batches(AT_ONCE):
            part.validate(full=True)
    return set(types)


@contextmanager
def _as_input_error(file: Path) -> Iterator[None]:
    """Raise InputError for whatever a file's content makes of pandas and PyArrow."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, OverflowError, MemoryError) as error:
        raise _unreadable(file, str(error)) from None


def _unreadable(file: Path, reason: str) -> InputError:
    return InputError(f"{file} cannot be read ({reason}): {REWRITE}")


def _check_essential(file: Path, columns: Sequence[Column], there: Collection[str]) -> None:
    for column in columns:
        if column.essential and column.name not in there:
            raise InputError(f"{file} lacks the column {column.name}: {REWRITE}")
