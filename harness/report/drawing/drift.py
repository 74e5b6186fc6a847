"""Draws how far a column is from 0, where dense is, against bytes moved: a curve per method, both axes logarithmic."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.report.drawing.axes import transfers_axis
from harness.report.drawing.curves import curve_places
from harness.report.drawing.layout import by_model, legend_above, panel_figure, panel_name
from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import literal, look
from harness.report.sources import Sources
from harness.tables.text import precision


class Drift(NamedTuple):
    """Names a figure, the column that it draws, its axis and its caption."""

    figure: str
    column: str
    axis: str
    caption: str


def draw_drift(sources: Sources, drift: Drift) -> Iterator[Drawing]:
    """Draw one figure per model and data set source, with a panel for each task that has a value above 0."""
    if sources.results is None:
        return
    for model, data, panels in by_model(sources.results, one_metric=True):
        drawn = [(panel, cells) for panel, cells in panels if (cells[drift.column] > 0).any()]
        if not drawn:
            continue
        figure, axes = panel_figure(len(drawn))
        handles: list[Line2D] = []
        for ax, (panel, cells) in zip(axes, drawn, strict=True):
            handles += _curves(ax, cells, drift)
            ax.set_title(panel_name(panel), pad=11)
        legend_above(figure, handles)
        yield Drawing(file_stem(drift.figure, model, data), figure, f"{model} ({data}). {drift.caption}")


def _curves(ax: Axes, cells: pd.DataFrame, drift: Drift) -> list[Line2D]:
    transfers_axis(ax, cells)
    ax.set(yscale="log", xlabel=f"Transfers per token{precision(cells)}", ylabel=drift.axis)
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    handles = []
    for variant, nth in curve_places(cells):
        group = cells[(cells["variant"] == variant) & (cells[drift.column] > 0)].sort_values("bytes_per_token")
        style = look(cells[cells["variant"] == variant].iloc[0])
        (line,) = ax.plot(
            group["bytes_per_token"], group[drift.column], color=style.color, marker=style.marker,
            linestyle=style.line if nth == 0 else "--", label=literal(variant),
        )  # fmt: skip
        handles.append(line)
    return handles
