"""Draws the score of every cell against the seconds that its examples took."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.drawing.axes import score_axis
from harness.report.drawing.curves import draw_curves
from harness.report.drawing.layout import panel_name, panels_by_model
from harness.report.drawing.save import Drawing, file_stem
from harness.report.load import Panel
from harness.report.sources import Sources

CAPTION = "Score against seconds of decoding per example, on the machine that ran it."


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source; nothing where there are no results."""
    if sources.results is not None:
        for model, data, _, figure in panels_by_model(sources.results, _panel):
            yield Drawing(file_stem("seconds", model, data), figure, f"{model} ({data}). {CAPTION}")


def _panel(ax: Axes, panel: Panel, cells: pd.DataFrame) -> list[Line2D]:
    handles = draw_curves(ax, cells, "seconds")
    ax.set_title(panel_name(panel))
    ax.set_xlabel("Seconds per example")
    score_axis(ax, panel.metric, bool(cells["higher_is_better"].iloc[0]))
    return handles
