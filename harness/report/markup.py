"""Writes tables as Markdown and LaTeX. Whatever a name holds, it cannot break out of its place."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from harness.report.tables import Entry, Table
from harness.tables.marks import LIKE_DENSE

_LATEX = {
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
    "\n": " ",
}
_MARKDOWN = {c: f"\\{c}" for c in "\\`*_{}[]#|~!"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;", "\n": " ", "\r": " "}


def latex_text(text: str) -> str:
    """Escape text so that LaTeX prints it as it is."""
    return "".join(_LATEX.get(character, character) for character in text)


def markdown_text(text: str) -> str:
    """Escape text so that Markdown prints it as it is, in one line."""
    return "".join(_MARKDOWN.get(character, character) for character in text)


def to_markdown(tables: Iterable[Table]) -> str:
    """Write all tables as GitHub's Markdown."""
    return "\n".join(_markdown(table) for table in tables)


def to_latex(tables: Iterable[Table]) -> str:
    """Write all tables as LaTeX tables for the package booktabs, two lines per method."""
    return "\n".join(_latex(table) for table in tables)


def frame_to_markdown(frame: pd.DataFrame) -> str:
    """Write a plain table of texts as Markdown."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    escaped = [line if i == 1 else [markdown_text(text) for text in line] for i, line in enumerate(lines)]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


def frame_to_latex(frame: pd.DataFrame, title: str) -> str:
    """Write a plain table of texts for the package booktabs."""
    escaped = frame.astype(str).map(latex_text)
    escaped.columns = pd.Index([latex_text(str(name)) for name in frame.columns])
    return str(escaped.to_latex(index=False, escape=False, caption=latex_text(title)))


def _markdown(table: Table) -> str:
    head = f"### {markdown_text(table.title)}\n\n| method | {' | '.join(table.columns)} |\n"
    rule = f"|---|{'---|' * len(table.columns)}\n"
    lines = (
        f"| {markdown_text(name)} | {' | '.join(_markdown_entry(entry) for entry in entries)} |\n"
        for name, entries in table.lines
    )
    return head + rule + "".join(lines)


def _markdown_entry(entry: Entry) -> str:
    score = markdown_text(entry.score) + (f" {LIKE_DENSE}" if entry.like_dense else "")
    bold = f"**{score}**" if entry.best else score
    return bold + (f"<br>{markdown_text(entry.difference)}" if entry.difference else "")


def _latex(table: Table) -> str:
    lines: list[list[str]] = []
    for name, entries in table.lines:
        lines.append([latex_text(name), *(_latex_entry(entry) for entry in entries)])
        if any(entry.difference for entry in entries):
            lines.append(["", *(rf"{{\scriptsize {latex_text(entry.difference)}}}" for entry in entries)])
    frame = pd.DataFrame(lines, columns=["method", *table.columns])
    return str(frame.to_latex(index=False, escape=False, caption=latex_text(table.title)))


def _latex_entry(entry: Entry) -> str:
    score = latex_text(entry.score + (f" {LIKE_DENSE}" if entry.like_dense else ""))
    return rf"\textbf{{{score}}}" if entry.best else score
