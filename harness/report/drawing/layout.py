"""Lays panels out side by side: a row or grid of axes with one legend above."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.report.drawing.curves import join_handles
from harness.report.drawing.style import COLUMN, TEXT, literal
from harness.report.load import Panel, Results
from harness.report.names import task_name

DrawPanel = Callable[[Axes, Panel, pd.DataFrame], Sequence[Line2D]]
"""Draws one task's cells and returns the handles of its legend."""
CHARACTERS, HANDLE = 18, 7
"""Characters of a legend's text that fit into an inch, and those whose room a handle and a gap take."""
LINE = 0.14
"""Inches of a line of a legend."""


def panel_figure(count: int, columns: int | None = None, height: float = 1.85) -> tuple[Figure, list[Axes]]:
    """Make axes for `count` panels: one fits a column, two or more the text width, at most 3 beside each other."""
    across = columns or min(count, 3)
    down = math.ceil(count / across)
    width = COLUMN if across == 1 else TEXT
    figure = Figure(figsize=(width, (2.3 if count == 1 else height) * down + 0.3), layout="constrained")
    axes = list(np.ravel(figure.subplots(down, across, squeeze=False)))
    for spare in axes[count:]:
        spare.remove()
    return figure, axes[:count]


def panel_name(panel: Panel) -> str:
    """Return the task's name, and the embedded corpus, whose scores are not those of the data set."""
    where = f" ({panel.data})" if panel.data == "embedded" else ""
    return literal(task_name(panel.task) + where)


def by_model(results: Results, one_metric: bool = False) -> Iterator[tuple[str, str, list[tuple[Panel, pd.DataFrame]]]]:
    """Group panels as (model, data, its panels), for figures of one model; `one_metric` takes a task's first metric."""
    found: dict[tuple[str, str], list[tuple[Panel, pd.DataFrame]]] = {}
    for panel, cells in results.panels():
        mine = found.setdefault((panel.model, panel.data), [])
        if not (one_metric and any(panel.task == other.task for other, _ in mine)):
            mine.append((panel, cells))
    for (model, data), panels in found.items():
        yield model, data, panels


def panels_by_model(results: Results, draw: DrawPanel) -> Iterator[tuple[str, str, list[Panel], Figure]]:
    """Draw a figure per model: (model, data, panels, figure), `draw` done for each panel; no legend where none drew."""
    for model, data, panels in by_model(results):
        figure, axes = panel_figure(len(panels))
        handles = [h for ax, (panel, cells) in zip(axes, panels, strict=True) for h in draw(ax, panel, cells)]
        if handles:
            legend_above(figure, handles)
        yield model, data, [panel for panel, _ in panels], figure


def legend_above(figure: Figure, handles: Sequence[Line2D]) -> None:
    """Add one legend for all panels, in as few lines as fit; the figure grows by all but the first of them."""
    joined = join_handles(list(handles))
    room = int(figure.get_figwidth() * CHARACTERS)
    lengths = [len(str(handle.get_label())) + HANDLE for handle in joined]
    lines = next(lines for lines in range(1, len(joined) + 1) if _width(lengths, lines) <= room or lines == len(joined))
    columns = math.ceil(len(joined) / lines)
    figure.set_figheight(figure.get_figheight() + LINE * (lines - 1))
    figure.legend(handles=joined, loc="outside upper center", ncols=columns, columnspacing=1.2, handlelength=2.2)


def _width(lengths: Sequence[int], lines: int) -> int:
    """Count the characters across, when entries fill one column of so many lines after the other."""
    return sum(max(lengths[i : i + lines]) for i in range(0, len(lengths), lines))
