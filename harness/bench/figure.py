"""The microbenchmark's figure: time per query against S, and speed-up against batch x S."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure


def draw(table: pd.DataFrame, path: Path) -> None:
    """Draw a table of bench_attention to a file (format by its suffix)."""
    with mpl.rc_context({"font.size": 9}):
        figure = Figure(figsize=(10, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        best = _best_of_dense(table)
        _times(left, best)
        _speedups(right, best[best["method"] != "dense"])
        figure.suptitle(f"One decode step of attention, {table['device'].iloc[0]}")
        figure.savefig(path)


def _best_of_dense(table: pd.DataFrame) -> pd.DataFrame:
    """Every method's rows, and of the dense backends the fastest for each batch and S; labelled."""
    case = ["batch", "s", "heads", "kv_heads", "method", "r", "k", "k_stored"]
    fastest = table.sort_values("us").drop_duplicates(case).sort_values(["method", "batch", "s"])
    return fastest.assign(label=[_label(row) for _, row in fastest.iterrows()])


def _label(row: pd.Series[Any]) -> str:
    knobs = [f"{name}={row[name]:g}" for name in ("r", "k") if pd.notna(row[name])]
    once = [", K once"] if row["method"] == "sparq" and row["k_stored"] == 1 else []
    return " ".join([str(row["method"]), *knobs, *once])


def _times(axes: Axes, table: pd.DataFrame) -> None:
    for color, (label, lines) in enumerate(table.groupby("label", sort=False)):
        for marker, (_, rows) in zip("ovs^D*", lines.groupby("batch"), strict=False):
            spread = (rows["us"] - rows["us_p10"]).clip(lower=0), (rows["us_p90"] - rows["us"]).clip(lower=0)
            errors = [side / rows["batch"] for side in spread]
            name = f"{label}, batch {rows['batch'].iloc[0]}"
            axes.errorbar(
                rows["s"], rows["us_per_query"], errors, color=f"C{color}", marker=marker, markersize=3, label=name
            )
    axes.set(xscale="log", yscale="log", xlabel="cached tokens S", ylabel="us per query")
    axes.legend(fontsize=5, loc="center left", bbox_to_anchor=(1, 0.5))


def _speedups(axes: Axes, table: pd.DataFrame) -> None:
    for color, (label, lines) in enumerate(table.groupby("label", sort=False), start=1):
        for number, (_, rows) in enumerate(lines.groupby("batch")):
            work, name = rows["batch"] * rows["s"], None if number else label
            axes.plot(work, rows["speedup"], ".-", color=f"C{color}", label=name)
            axes.plot(work, rows["speedup_theory"], ":", color=f"C{color}")
    axes.set_title("a line per batch size; dotted: by the bytes alone", fontsize=8)
    axes.axhline(1, color="grey", linewidth=0.5)
    axes.set(xscale="log", yscale="log", xlabel="batch x S", ylabel="speed-up over the best dense")
    axes.legend(fontsize=6)
