"""Draws score against bytes moved per token: a curve per method, a panel per task, a figure per model."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.drawing.axes import score_axis, transfers_axis
from harness.report.drawing.curves import draw_curves, draw_published
from harness.report.drawing.layout import panel_name, panels_by_model
from harness.report.drawing.save import Drawing, file_stem
from harness.report.load import Panel
from harness.report.sources import Sources
from harness.tables.text import precision

CAPTION = (
    "Score against the bytes of KV cache moved per generated token (log scale, prompt lengths and precision as run); "
    "arrows point to the better end. Dashed line and grey band: dense and its standard error; shaded: one standard "
    "error. Marks on top: shares of dense's transfers."
)
OVERLAY = " Hollow: published values, placed by their compression ratio; dotted line: published dense."


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source."""
    if sources.results is None:
        return

    def titled(ax: Axes, panel: Panel, cells: pd.DataFrame) -> list[Line2D]:
        ax.set_title(panel_name(panel), pad=11)
        return draw_panel(ax, panel, cells, sources.published)

    for model, data, panels, figure in panels_by_model(sources.results, titled):
        task = panels[0].task if len(panels) == 1 else ""
        text = f"{model} ({data}). {CAPTION}" + (OVERLAY if sources.published is not None else "")
        yield Drawing(file_stem("tradeoff", model, data, task), figure, text)


def draw_panel(ax: Axes, panel: Panel, cells: pd.DataFrame, published: pd.DataFrame | None) -> list[Line2D]:
    """Draw the curves of one model and task; return its legend handles."""
    transfers_axis(ax, cells)
    handles = draw_curves(ax, cells, "bytes_per_token")
    if published is not None:
        handles += draw_published(ax, panel, cells, published)
    ax.set_xlabel(f"Transfers per token{precision(cells)}")
    score_axis(ax, panel.metric, bool(cells["higher_is_better"].iloc[0]))
    return handles
