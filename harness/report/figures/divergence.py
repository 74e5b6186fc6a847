"""Draws how far log-likelihoods drift from dense's: mean absolute difference per token against bytes moved."""

from __future__ import annotations

from collections.abc import Iterator

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

CAPTION = (
    "Mean absolute difference in log-likelihood per token to dense attention, over outputs of equal tokens (all of a "
    "teacher-forced text). A setting whose outputs all differ has none."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source."""
    if sources.results is None:
        return
    for model, data, panels in by_model(sources.results, one_metric=True):
        drawn = [(panel, cells) for panel, cells in panels if (cells["delta_nll"] > 0).any()]
        if not drawn:
            continue
        figure, axes = panel_figure(len(drawn))
        handles: list[Line2D] = []
        for ax, (panel, cells) in zip(axes, drawn, strict=True):
            handles += _curves(ax, cells)
            ax.set_title(panel_name(panel), pad=11)
        legend_above(figure, handles)
        yield Drawing(file_stem("divergence", model, data), figure, f"{model} ({data}). {CAPTION}")


def _curves(ax: Axes, cells: pd.DataFrame) -> list[Line2D]:
    transfers_axis(ax, cells)
    ax.set(yscale="log", xlabel=f"Transfers per token{precision(cells)}", ylabel="|Δ log p| [nats/token]")
    ax.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())
    handles = []
    for variant, nth in curve_places(cells):
        group = cells[(cells["variant"] == variant) & (cells["delta_nll"] > 0)].sort_values("bytes_per_token")
        style = look(cells[cells["variant"] == variant].iloc[0])
        (line,) = ax.plot(
            group["bytes_per_token"], group["delta_nll"], color=style.color, marker=style.marker,
            linestyle=style.line if nth == 0 else "--", label=literal(variant),
        )  # fmt: skip
        handles.append(line)
    return handles
