"""Collects in sentences what a reader of files left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from harness.text import printable

MOST_NAMES = 8
"""Fields that are named; a file may hold any number of them."""


@dataclass
class _Lines:
    """Counts the lines of a file that one reason keeps out, and remembers the first."""

    first: int
    count: int = 0


@dataclass
class Notes:
    """Collects what is not used of some files: whole files, lines by reason, fields that only other versions know."""

    _files: dict[Path, str] = field(default_factory=dict)
    _lines: dict[tuple[Path, str], _Lines] = field(default_factory=dict)
    _fields: dict[Path, list[str]] = field(default_factory=dict)
    _unknown: dict[Path, set[str]] = field(default_factory=dict)

    def leave_out(self, file: Path, reason: str) -> None:
        """Note that a file cannot be used."""
        self._files[file] = reason

    def leave_out_line(self, file: Path, number: int, reason: str) -> None:
        """Note that a line of a file cannot be used."""
        self._lines.setdefault((file, reason), _Lines(number)).count += 1

    def leave_out_field(self, file: Path, reason: str) -> None:
        """Note that a field of a file cannot be used."""
        found = self._fields.setdefault(file, [])
        if len(found) < MOST_NAMES and reason not in found:
            found.append(reason)

    def pass_over(self, file: Path, names: Iterable[str]) -> None:
        """Note that fields of another version are not used."""
        names = set(names)
        if names:
            found = self._unknown.setdefault(file, set())
            found |= names if len(found) < MOST_NAMES else set()

    def sentences(self) -> list[str]:
        """Say all of it, file by file: each sentence names the run's folder and the file."""
        whole = [(file, f"is left out: {reason}") for file, reason in self._files.items()]
        lines = [(file, _said(lines, reason)) for (file, reason), lines in self._lines.items()]
        fields = [(file, f"is read in part: {reason}") for file, reasons in self._fields.items() for reason in reasons]
        unknown = [(file, _named(names)) for file, names in self._unknown.items()]
        found = sorted([*whole, *lines, *fields, *unknown], key=lambda pair: str(pair[0]))
        return [printable(f"{file.parent.name}/{file.name} {words}") for file, words in found]


def _said(lines: _Lines, reason: str) -> str:
    if lines.count == 1:
        return f"line {lines.first} is left out: {reason}"
    return f"{lines.count} lines are left out, line {lines.first} first: {reason}"


def _named(names: Iterable[str]) -> str:
    return f"was written by another version: not used of it is {', '.join(sorted(names)[:MOST_NAMES])}"
