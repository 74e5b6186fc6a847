"""Writes the column tables of results/README.md from harness/tables/columns.py.

python scripts/column_tables.py: replaces what stands between the marks of each table.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.tables.columns import ROWS, SUMMARY

README = Path(__file__).parent.parent / "results" / "README.md"
END = "<!-- end of columns -->"


def main() -> None:
    """Rewrite the README."""
    README.write_text(with_tables(README.read_text(encoding="utf-8")), encoding="utf-8")


def with_tables(text: str) -> str:
    """Return the README's text with both tables made anew."""
    for file, table in (("summary.csv", summary_table()), ("rows.parquet", rows_table())):
        before, rest = text.split(f"<!-- columns of {file}: scripts/column_tables.py -->\n")
        _, after = rest.split(END, 1)
        text = f"{before}<!-- columns of {file}: scripts/column_tables.py -->\n{table}{END}{after}"
    return text


def summary_table() -> str:
    """Write a line per column of summary.csv."""
    lines = (
        (f"`{c.name}`", c.summary_kind.value, c.unit, c.averaging.value if c.averaging else "", c.meaning)
        for c in SUMMARY
    )
    return _markdown(("column", "type", "unit", "from the rows", "meaning"), lines)


def rows_table() -> str:
    """Write a line per column of rows.parquet."""
    lines = ((f"`{c.name}`", c.kind.value, c.unit, c.meaning) for c in ROWS)
    return _markdown(("column", "type", "unit", "meaning"), lines)


def _markdown(head: tuple[str, ...], lines: Iterable[tuple[str, ...]]) -> str:
    rule = "|" + "---|" * len(head)
    return "".join(f"{line}\n" for line in (_line(head), rule, *map(_line, lines)))


def _line(entries: Iterable[str]) -> str:
    return f"| {' | '.join(entries)} |"


if __name__ == "__main__":
    main()
