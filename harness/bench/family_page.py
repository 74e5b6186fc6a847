"""Lays out `harness bench families` as a page: a table for each family, columns for each shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from harness import methods
from harness.bench.columns import Status

SHAPE = ["batch", "s"]
HEADS = ["by bytes", "us", "speed-up", "error"]
"""What a shape has columns for."""


def page(table: pd.DataFrame) -> str:
    """Return markdown: what was measured on what, dense attention, and each family's table. `table` has FamilyRows."""
    return "\n".join([*_about(table), *(line for part in _families(table) for line in ["", *part])])


def _about(table: pd.DataFrame) -> Iterator[str]:
    first = table.iloc[0]
    yield (
        f"{first['device']}, torch {first['torch']}, Triton {first['triton']}, commit {first['commit']}; "
        f"{first['dtype']}, {first['heads']}/{first['kv_heads']} heads, D = {first['d']}, {first['asked']:g}x asked "
        f"for. Rows of a batch that were compared: {first['rows']}. ~ stands before bytes that depend on the data."
    )
    for (batch, s), group in table.groupby(SHAPE, sort=False):
        best = best_dense(group)
        found = "no dense attention was timed" if best is None else f"{best['us']:.0f} us ({best['path']})"
        yield f"Best dense at batch {batch}, {s} tokens: {found}."


def best_dense(group: pd.DataFrame) -> pd.Series | None:
    """Return the line of the fastest SDPA backend of one shape."""
    timed = group[group["path"].str.startswith("sdpa") & group["us"].notna()]
    return None if timed.empty else timed.sort_values("us").iloc[0]


def _families(table: pd.DataFrame) -> Iterator[list[str]]:
    own = table[~table["path"].str.startswith("sdpa")]
    shapes = [(int(batch), int(s)) for batch, s in table[SHAPE].drop_duplicates().itertuples(index=False)]
    for family, group in own.groupby("family"):
        columns = ["method", "path", *(f"{batch} x {s}: {head}" for batch, s in shapes for head in HEADS)]
        yield [
            f"**{family}**",
            "",
            _line(columns),
            "|---" * len(columns) + "|",
            *(_method(str(name), lines, shapes) for name, lines in group.groupby("method")),
        ]


def _method(name: str, lines: pd.DataFrame, shapes: Sequence[tuple[int, int]]) -> str:
    title = f"`{name}` (oracle)" if methods.find(name).oracle else f"`{name}`"
    cells = [title, " / ".join(lines["path"].unique())]
    for batch, s in shapes:
        of_shape = lines[(lines["batch"] == batch) & (lines["s"] == s)]
        cells += _cells(of_shape.iloc[0]) if len(of_shape) else [""] * len(HEADS)
    return _line(cells)


def _cells(row: pd.Series) -> list[str]:
    """Write compression, time, speed-up and error; where there is no time, its status."""
    sign = "~" if row["estimated"] else ""
    reached = "" if pd.isna(row["compression"]) else f"{sign}{row['compression']:.1f}x"
    error = "" if pd.isna(row["error"]) else f"{row['error']:.1e}"
    if row["status"] != Status.OK:
        return [reached, str(row["status"]).replace("_", " "), "", error]
    return [reached, f"{row['us']:.0f}", "" if pd.isna(row["speedup"]) else f"{row['speedup']:.2f}", error]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
