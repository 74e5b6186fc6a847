"""Says what is wrong with a column that was read from a file."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import pandas as pd
import pyarrow as pa

from harness.store.plain import UnreadableError, parse_shallow
from harness.store.schema import LONGEST_NAME
from harness.tables.column import Column, Kind, Range

LARGEST = 1e30
"""Of a number that is drawn or divided by."""
_TYPES: dict[Kind, tuple[Any, ...]] = {
    Kind.TEXT: (pa.types.is_string, pa.types.is_large_string),
    Kind.KNOBS: (pa.types.is_string, pa.types.is_large_string),
    Kind.FLAG: (pa.types.is_boolean,),
    Kind.COUNT: (pa.types.is_integer, pa.types.is_floating),
    Kind.NUMBER: (pa.types.is_integer, pa.types.is_floating),
}


def column_fault(column: Column, values: pd.Series[Any]) -> str:
    """Say which value of a column of summary.csv cannot stand there, by its line; "" if all can.

    Only a number may be missing, and a text that another version need not have.
    """
    check = _text_fault if column.is_text else _flag_fault if column.summary_kind is Kind.FLAG else _number_fault
    faults = ((line, check(column, value)) for line, value in enumerate(values, start=2))
    found = next((f"line {line}: {column.name} is {fault}" for line, fault in faults if fault), "")
    if not found and len(values) and check is _number_fault and not pd.api.types.is_numeric_dtype(values):
        return f"{column.name} is not numbers alone"
    return found


def arrow_fault(column: Column, kind: Any) -> str:
    """Say if a column of rows.parquet is of a type that cannot be; "" if it can. One without a value has none."""
    values = kind.value_type if pa.types.is_dictionary(kind) else kind
    if pa.types.is_null(values) or any(is_it(values) for is_it in _TYPES[column.kind]):
        return ""
    return f"{column.name} is of type {kind}, not {column.kind.value}"


def _text_fault(column: Column, value: Any) -> str:
    if not isinstance(value, str):
        return "empty" if column.essential else ""
    if column.kind is not Kind.KNOBS:
        return "" if len(value) <= LONGEST_NAME else f"longer than {LONGEST_NAME} characters"
    try:
        return _knob_fault(parse_shallow(value).values())
    except UnreadableError as error:
        return f"no JSON object: {error}"


def _knob_fault(values: Iterable[Any]) -> str:
    """Say if knobs are neither plain values nor [least, greatest]."""
    ends = [end for value in values for end in (value if isinstance(value, list) else [value])]
    plain = all(end is None or isinstance(end, str | int | float) for end in ends)
    return "" if plain else "no object of knobs"


def _flag_fault(_: Column, value: Any) -> str:
    return "" if str(value) in ("True", "False") else "neither True nor False"


def _number(value: Any) -> float | None:
    """Return a number, also of a text: one entry that is none makes texts of its whole column."""
    try:
        return None if isinstance(value, bool) or value == "True" else float(value)
    except ValueError:
        return None


def _number_fault(column: Column, value: Any) -> str:
    number = _number(value)
    if number is None:
        return "no number"
    if math.isnan(number):
        return "empty" if column.summary_kind is Kind.COUNT else ""
    if column.summary_kind is Kind.COUNT and not number.is_integer():
        return "no whole number"
    if column.within is Range.ANY and math.isinf(number):
        return ""
    if not abs(number) <= LARGEST:
        return "no finite number"
    return "not above 0" if column.within is Range.POSITIVE and number <= 0 else ""
