"""Writes tables as Markdown. Whatever a name holds, it cannot break out of its place."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from harness.report.tables import Entry, Table
from harness.tables.marks import LIKE_DENSE
from harness.text import printable

_MARKDOWN = {c: f"\\{c}" for c in "\\`*_{}[]#|~!"} | {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def markdown_text(text: str) -> str:
    """Escape text so that Markdown prints it as it is, in one line."""
    return "".join(_MARKDOWN.get(character, character) for character in printable(" ".join(text.splitlines())))


def to_markdown(tables: Iterable[Table]) -> str:
    """Write all tables as GitHub's Markdown."""
    return "\n".join(_markdown(table) for table in tables)


def frame_to_markdown(frame: pd.DataFrame) -> str:
    """Write a plain table of texts as Markdown."""
    lines = [list(frame.columns), ["---"] * len(frame.columns), *frame.astype(str).to_numpy().tolist()]
    escaped = [line if i == 1 else [markdown_text(text) for text in line] for i, line in enumerate(lines)]
    return "".join(f"| {' | '.join(line)} |\n" for line in escaped)


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
