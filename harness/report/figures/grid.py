"""Draws score against bytes moved per token for several models: a row per model, a column per task."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report.drawing.layout import legend_above, panel_name
from harness.report.drawing.save import Drawing
from harness.report.drawing.style import TEXT, literal
from harness.report.figures.tradeoff import CAPTION, OVERLAY, draw_panel
from harness.report.load import Panel
from harness.report.names import task_order
from harness.report.sources import Sources
from harness.tables.text import precision

ROW = 1.25
"""Inches per model."""


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure, if there are two models or more."""
    if sources.results is None or sources.results.cells["model"].nunique() < 2:
        return
    panels, cells = dict(sources.results.panels()), sources.results.cells
    rows = list(dict.fromkeys((p.model, p.data) for p in panels))
    columns = sorted({(p.task, p.metric) for p in panels}, key=lambda c: (task_order(c[0]), c[1]))
    figure = Figure(figsize=(TEXT, ROW * len(rows) + 0.8), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False)
    handles: list[Line2D] = []
    for (i, row), (j, column) in itertools.product(enumerate(rows), enumerate(columns)):
        panel = Panel(*row, *column)
        if i == 0:
            axes[i, j].set_title(panel_name(panel), pad=11)
        if panel not in panels:
            _leave_empty(axes[i, j])
            continue
        handles += draw_panel(axes[i, j], panel, panels[panel], sources.published)
        _make_small(axes[i, j], is_last=i == len(rows) - 1)
    for i, (model, _) in enumerate(rows):
        name = literal(model + precision(cells[cells["model"] == model]))
        axes[i, -1].annotate(name, (1.04, 0.5), xycoords="axes fraction", rotation=-90, va="center")
    legend_above(figure, handles)
    yield Drawing("grid", figure, CAPTION + (OVERLAY if sources.published is not None else ""))


def _leave_empty(ax: Axes) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, "not run", transform=ax.transAxes, ha="center", color="#777777")


def _make_small(ax: Axes, is_last: bool) -> None:
    ax.set_xlabel("Transfers per token" if is_last else "", fontsize=6)
    ax.yaxis.label.set_fontsize(6)
    ax.tick_params(labelsize=5)
