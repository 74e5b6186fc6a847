"""Describes a column of a table: its type, its unit, its meaning, and how a summary is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Kind(Enum):
    """Names the type of a column's values."""

    TEXT = "text"
    KNOBS = "JSON object"
    FLAG = "true or false"
    COUNT = "integer"
    NUMBER = "number"


class Range(Enum):
    """Says which numbers a column may hold; any may be empty."""

    ANY = "any, also infinite"
    FINITE = "finite"
    POSITIVE = "finite and above 0"


class Averaging(Enum):
    """Says how the summary's value of a task, cell and metric comes from its rows; empty ones are left out."""

    SAME = "the same in all rows"
    MEAN = "mean over examples"
    SHARE = "share of examples"
    COUNT = "number of rows"
    PAIRED = "paired with dense"
    COMPUTED = "from all rows"


@dataclass(frozen=True)
class Column:
    """Describes one column: name, type, unit, meaning, and how the summary's value comes from the rows.

    `averaging` is None where a column stands in the rows only. Without an `essential` column no line can be placed in a
    table or figure; a file of another version may lack the others. `within` bounds a number in the summary.
    """

    name: str
    kind: Kind
    averaging: Averaging | None
    meaning: str
    unit: str = ""
    essential: bool = False
    within: Range = Range.FINITE

    @property
    def summary_kind(self) -> Kind:
        """Return the type in the summary: means and shares are numbers."""
        return Kind.NUMBER if self.averaging in (Averaging.MEAN, Averaging.SHARE) else self.kind

    @property
    def is_text(self) -> bool:
        """Say if it holds text."""
        return self.kind in (Kind.TEXT, Kind.KNOBS)
