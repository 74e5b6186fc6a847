"""Draws score against prompt length at a quarter of dense's transfers: means of length bins with standard errors."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.drawing.axes import mark_gap, score_axis
from harness.report.drawing.curves import error_band
from harness.report.drawing.layout import panel_name, panels_by_model
from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import literal, look
from harness.report.load import Panel
from harness.report.methods import Line
from harness.report.names import DENSE
from harness.report.ratios import OCTAVE, nearest
from harness.report.sources import Sources
from harness.report.tables import variant_order

RATIO, MOST_BINS, FEWEST = 4.0, 8, 3
"""Compression shown, and how many bins of at least how many examples."""
CAPTION = (
    "Score against prompt length, each method at its setting nearest to a quarter of dense's transfers (at most a "
    "factor of 2 away). Points: means of bins of equally many examples, at their mean length. Bands: one standard "
    "error."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source."""
    if sources.results is None:
        return
    results = sources.results

    def curves(ax: Axes, panel: Panel, cells: pd.DataFrame) -> list[Line2D]:
        ax.set_title(panel_name(panel))
        ax.set_xlabel("Prompt length in tokens")
        handles = _curves(ax, cells, results.rows(panel, ["cell", "prompt_tokens", "value"]))
        score_axis(ax, panel.metric, bool(cells["higher_is_better"].iloc[0]))
        return handles

    for model, data, _, figure in panels_by_model(results, curves):
        if figure.legends:
            yield Drawing(file_stem("length", model, data), figure, f"{model} ({data}). {CAPTION}")


def binned(rows: pd.DataFrame) -> pd.DataFrame:
    """Average rows of one cell by prompt length: columns length, mean, stderr of each bin, n examples in it."""
    if rows.empty:
        return pd.DataFrame(columns=["length", "mean", "stderr", "n"])
    ordered = rows.sort_values("prompt_tokens", kind="stable")
    bins = int(np.clip(len(rows) // FEWEST, 1, MOST_BINS))
    groups = ordered.groupby(np.arange(len(rows)) * bins // len(rows))
    return groups.agg(
        length=("prompt_tokens", "mean"), mean=("value", "mean"), stderr=("value", "sem"), n=("value", "size")
    )


def _curves(ax: Axes, cells: pd.DataFrame, rows: pd.DataFrame) -> list[Line2D]:
    handles = []
    for variant in variant_order(cells):
        group = cells[(cells["variant"] == variant) & (cells["note"] == "")]
        is_dense = len(group) > 0 and group["method"].iloc[0] == DENSE
        cell = nearest(group, 1.0 if is_dense else RATIO, OCTAVE)
        found = binned(rows[rows["cell"] == cell["cell"]]) if cell is not None and len(rows) else None
        if found is not None and len(found):
            handles.append(_curve(ax, found, group.iloc[0]))
    if not handles:
        mark_gap(ax, "no rows to draw")
    return handles


def _curve(ax: Axes, found: pd.DataFrame, line: Line) -> Line2D:
    style = look(line)
    low, high = found["mean"] - found["stderr"], found["mean"] + found["stderr"]
    error_band(ax, found["length"], low, high, style.color)
    is_dense = line["method"] == DENSE
    (drawn,) = ax.plot(
        found["length"], found["mean"], color=style.color, marker="" if is_dense and len(found) > 1 else style.marker,
        linestyle=style.line, label=literal(str(line["variant"])), zorder=3 if is_dense else 2,
    )  # fmt: skip
    return drawn
