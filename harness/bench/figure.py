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
        figure = Figure(figsize=(9, 3.6), layout="constrained")
        left, right = figure.subplots(1, 2)
        best = _best_of_dense(table)
        _times(left, best)
        _speedups(right, best[best["method"] != "dense"])
        figure.suptitle(f"One decode step of attention, {table['device'].iloc[0]}")
        figure.savefig(path)


def _best_of_dense(table: pd.DataFrame) -> pd.DataFrame:
    """Every method's rows, and of the dense backends the fastest for each batch and S; labelled."""
    case = ["batch", "s", "heads", "kv_heads", "method", "r", "k", "k_stored"]
    fastest = table.sort_values("us").drop_duplicates(case).sort_values(["batch", "s"])
    return fastest.assign(label=[_label(row) for _, row in fastest.iterrows()])


def _label(row: pd.Series[Any]) -> str:
    knobs = [f"{name}={row[name]:g}" for name in ("r", "k") if pd.notna(row[name])]
    once = [", K once"] if row["method"] == "sparq" and row["k_stored"] == 1 else []
    return " ".join([str(row["method"]), *knobs, *once])


def _times(axes: Axes, table: pd.DataFrame) -> None:
    for _, rows in table.groupby(["label", "batch"]):
        label, batch = rows["label"].iloc[0], rows["batch"].iloc[0]
        spread = (rows["us"] - rows["us_p10"]).clip(lower=0), (rows["us_p90"] - rows["us"]).clip(lower=0)
        errors = [side / rows["batch"] for side in spread]
        axes.errorbar(rows["s"], rows["us_per_query"], errors, marker=".", capsize=2, label=f"{label}, batch {batch}")
    axes.set(xscale="log", yscale="log", xlabel="cached tokens S", ylabel="us per query")
    axes.legend(fontsize=6)


def _speedups(axes: Axes, table: pd.DataFrame) -> None:
    for label, rows in table.assign(work=table["batch"] * table["s"]).sort_values("work").groupby("label"):
        (line,) = axes.plot(rows["work"], rows["speedup"], ".-", label=label)
        axes.plot(rows["work"], rows["speedup_theory"], ":", color=line.get_color())
    axes.axhline(1, color="grey", linewidth=0.5)
    axes.set(xscale="log", xlabel="batch x S", ylabel="speed-up over the best dense backend (dotted: bytes)")
    axes.legend(fontsize=6)
