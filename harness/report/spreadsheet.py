"""Writes tables as CSV that a spreadsheet shows and does not compute."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd

from harness.names import FORMULA
from harness.store.files import write_whole
from harness.text import printable

_NUMBER = re.compile(r"-|[+-]?\d[\d.]*(e[+-]?\d+)?( ± \d[\d.]*)?")
"""Matches a number in words, with or without its error, and the dash for none: they are no formulas."""


def write_csv(frame: pd.DataFrame, file: Path) -> None:
    """Write a table; a text that would be a formula gets an apostrophe before it, what does not print an escape."""
    shown = frame.map(_shown)
    shown.columns = pd.Index([_shown(name) for name in frame.columns])
    write_whole(file, shown.to_csv(index=False))


def _shown(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if FORMULA.match(text) and not _NUMBER.fullmatch(text) else text
