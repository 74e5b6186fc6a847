"""Writes tables as LaTeX. Whatever a name holds, it cannot break out of its place, nor stop a run of pdflatex."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

import pandas as pd

from harness.report.tables import Entry, Table
from harness.tables.marks import LIKE_DENSE

HEAD = "% needs \\usepackage{booktabs,longtable}\n"
_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "≈": r"$\approx$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # a line that begins with it would be read as the space above
    "]": "{]}",
    "*": "{*}",  # likewise, as one that no page may end before
}
_LETTERS = ("Ll", "Lu")


def latex_text(text: str) -> str:
    """Escape text so that LaTeX prints it as it is, in one line; a character that pdflatex lacks is named by code."""
    return "".join(_SPECIAL.get(character) or _known(character) for character in text)


def to_latex(tables: Iterable[Table]) -> str:
    """Write all tables for the packages booktabs and longtable, two lines per method."""
    return HEAD + "\n".join(_latex(table) for table in tables)


def frame_to_latex(frame: pd.DataFrame, title: str) -> str:
    """Write a plain table of texts for the packages booktabs and longtable."""
    escaped = frame.astype(str).map(latex_text)
    escaped.columns = pd.Index([latex_text(str(name)) for name in frame.columns])
    return HEAD + _long(escaped, title)


def _known(character: str) -> str:
    """Return what prints in every LaTeX: ASCII and the accented letters of Latin-1, others as U+ and their code."""
    if character.isspace():
        return " "
    if character.isascii() and character.isprintable():
        return character
    if character < "\u0100" and unicodedata.category(character) in _LETTERS:
        return character
    return rf"\texttt{{U+{ord(character):04X}}}"


def _latex(table: Table) -> str:
    lines: list[list[str]] = []
    for name, entries in table.lines:
        lines.append([latex_text(name), *map(_entry, entries)])
        if any(entry.difference for entry in entries):
            lines.append(["", *(rf"{{\scriptsize {latex_text(entry.difference)}}}" for entry in entries)])
    return _long(pd.DataFrame(lines, columns=["method", *table.columns]), table.title)


def _long(frame: pd.DataFrame, title: str) -> str:
    """Write a table that goes on over pages, of texts that are escaped."""
    return str(frame.to_latex(index=False, escape=False, longtable=True, caption=latex_text(title)))


def _entry(entry: Entry) -> str:
    score = latex_text(entry.score + (f" {LIKE_DENSE}" if entry.like_dense else ""))
    return rf"\textbf{{{score}}}" if entry.best else score
