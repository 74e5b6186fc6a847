"""Draws Pareto fronts: the settings that no other setting beats in both score and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.drawing.axes import score_axis, transfers_axis
from harness.report.drawing.curves import curve_places
from harness.report.drawing.layout import panel_name, panels_by_model
from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import literal, look
from harness.report.load import Panel
from harness.report.methods import is_control
from harness.report.sources import Sources
from harness.report.tables import variant_order
from harness.tables.text import precision

OTHER_MARKERS = ("8", "p", "h")
"""For second and further variants of a method; dense has no point in other figures, and a star here."""
CAPTION = (
    "Every setting, and as a stepped line the Pareto front of those that could be used (controls apart): no other "
    "setting has a score at least as good for fewer bytes. Filled: on the front."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source."""
    if sources.results is not None:
        for model, data, _, figure in panels_by_model(sources.results, _panel):
            yield Drawing(file_stem("pareto", model, data), figure, f"{model} ({data}). {CAPTION}")


def _panel(ax: Axes, panel: Panel, cells: pd.DataFrame) -> list[Line2D]:
    transfers_axis(ax, cells)
    handles = _points(ax, cells[cells["note"] == ""])
    ax.set_title(panel_name(panel), pad=11)
    ax.set_xlabel(f"Transfers per token{precision(cells)}")
    score_axis(ax, panel.metric, bool(cells["higher_is_better"].iloc[0]))
    return handles


def front(cells: pd.DataFrame) -> pd.DataFrame:
    """Select the cells on the front, by rising bytes: each strictly better than all that move no more."""
    usable = cells[~is_control(cells) & cells["value"].notna()].copy()
    usable["gain"] = usable["value"].where(usable["higher_is_better"].astype(bool), -usable["value"])
    ordered = usable.sort_values(["bytes_per_token", "gain"], ascending=[True, False], kind="stable")
    before = ordered["gain"].cummax().shift(fill_value=float("-inf"))
    return ordered[ordered["gain"] > before]


def _points(ax: Axes, cells: pd.DataFrame) -> list[Line2D]:
    best = front(cells)
    ax.plot(best["bytes_per_token"], best["value"], color="#444444", linewidth=0.9, drawstyle="steps-post", zorder=1)
    handles = [Line2D([], [], color="#444444", linewidth=0.9, label="Pareto front")]
    nth = dict(curve_places(cells))
    for variant in variant_order(cells):
        group = cells[cells["variant"] == variant]
        style = look(group.iloc[0])
        marker = OTHER_MARKERS[nth[variant] % 3] if nth.get(variant) else style.marker.replace("_", "*")
        plain: dict[str, Any] = {"marker": marker, "linestyle": "", "color": style.color, "markersize": 5.0}
        on_front = group["cell"].isin(best["cell"])
        for mine, face, above in ((group[on_front], style.color, 3), (group[~on_front], "white", 2)):
            ax.plot(mine["bytes_per_token"], mine["value"], markerfacecolor=face, zorder=above, **plain)
        handles.append(Line2D([], [], label=literal(variant), **plain))
    return handles
