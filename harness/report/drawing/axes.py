"""Sets up axes that several figures share."""

from __future__ import annotations

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

from harness.report.names import DENSE, metric_name

RATIOS = (1, 2, 4, 8)
MARK = "#BBBBBB"
NARROWEST = 0.05
"""Reach of a score axis to both sides, where nothing differs."""


def binary_size(value: float) -> str:
    """Write a number of bytes as "1 MiB": ticks stand at powers of two, which are round in binary units only."""
    for unit, size in (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g} B"


def log2_axis(ax: Axes, which: str, form: FuncFormatter | None = None) -> None:
    """Make the x or y axis logarithmic to base 2, with a tick at every power of two."""
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log", base=2)
    axis.set_major_locator(LogLocator(base=2, numticks=7))
    axis.set_major_formatter(form or FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())
    axis.set_minor_formatter(NullFormatter())


def transfers_axis(ax: Axes, cells: pd.DataFrame) -> None:
    """Make the x axis bytes per token, log2; draw labelled thin lines at dense and 1/2, 1/4, 1/8 of it."""
    log2_axis(ax, "x", FuncFormatter(lambda value, _: binary_size(value)))
    dense = dense_bytes(cells)
    for ratio in RATIOS:
        at = dense / ratio
        ax.axvline(at, color=MARK, linewidth=0.5, linestyle=(0, (1, 2)), zorder=0)
        label = "dense" if ratio == 1 else f"1/{ratio}"
        ax.annotate(
            label,
            (at, 1),
            (0, 1.5),
            ("data", "axes fraction"),
            "offset points",
            ha="center",
            fontsize=6,
            color="#555555",
        )


def dense_bytes(cells: pd.DataFrame) -> float:
    """Return the bytes per token of dense attention; without a dense cell, what the others' compression implies."""
    dense = cells[cells["method"] == DENSE]
    implied = cells["bytes_per_token"] * cells["compression"]
    return float((dense["bytes_per_token"] if len(dense) else implied).mean())


def score_axis(ax: Axes, metric: str, higher_is_better: bool) -> None:
    """Name the metric on the y axis with the direction that is better; called when all is drawn."""
    ax.set_ylabel(f"{metric_name(metric)} {'↑' if higher_is_better else '↓'}")
    ax.yaxis.set_major_locator(MaxNLocator(5))
    ax.ticklabel_format(axis="y", style="plain", useOffset=False)
    low, high = (float(end) for end in ax.dataLim.intervaly)
    if 0 <= high - low < 1e-9:  # equal scores: their rounding errors would fill the axis
        foot = -NARROWEST / 5 if 0 <= round(low, 9) < NARROWEST else low - NARROWEST  # no score lies below 0
        ax.set_ylim(foot, high + NARROWEST)


def mark_gap(ax: Axes, text: str) -> None:
    """Say in an empty or incomplete panel what is missing."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", fontsize=6, color="#AA0000", wrap=True)
