"""Score curves of one panel: a line and marker per method, shaded standard errors, the dense band, published points."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from harness.report.drawing.axes import dense_bytes, mark_gap
from harness.report.drawing.style import DENSE_LOOK, Look, literal, look
from harness.report.load import Panel
from harness.report.names import DENSE
from harness.report.tables import variant_order

FACES = ("full", "left", "none")
"""Fill of the markers of a method's first, second and further variants."""


def draw_curves(ax: Axes, cells: pd.DataFrame, x: str) -> list[Line2D]:
    """Draw the value against the column `x`, gaps marked on the axis; return a legend handle per variant."""
    valid = cells[cells["note"] == ""]
    handles = [_dense_band(ax, valid)] if (valid["method"] == DENSE).any() else []
    for place, (variant, nth) in enumerate(curve_places(cells)):
        group = valid[valid["variant"] == variant].sort_values(x)
        if len(group):
            handles.append(_curve(ax, group, x, (place, nth)))
    handles += _mark_gaps(ax, cells, x)
    if not handles:
        mark_gap(ax, "no valid scores")
    return handles


def curve_places(cells: pd.DataFrame) -> list[tuple[str, int]]:
    """List the compressed variants in the order they are drawn, each with its number within its method."""
    methods = dict(zip(cells["variant"].astype(str), cells["method"].astype(str), strict=True))
    drawn = [variant for variant in variant_order(cells) if methods[variant] != DENSE]
    before = [[methods[other] for other in drawn[:i]] for i in range(len(drawn))]
    return [(variant, before[i].count(methods[variant])) for i, variant in enumerate(drawn)]


def _curve(ax: Axes, group: pd.DataFrame, x: str, place: tuple[int, int]) -> Line2D:
    order, nth = place
    style = look(group.iloc[0])
    low, high = group["value"] - group["stderr"], group["value"] + group["stderr"]
    error_band(ax, group[x], low, high, style.color)
    (line,) = ax.plot(
        group[x],
        group["value"],
        color=style.color,
        marker=style.marker,
        linestyle=style.line if nth == 0 else "--",
        fillstyle=FACES[min(nth, 2)],
        markersize=max(5.5 - 0.5 * order, 2.5),  # where points coincide, the earlier ones show around the later
        markeredgewidth=0.6,
        label=literal(str(group["variant"].iloc[0])),
    )
    return line


def error_band(ax: Axes, x: pd.Series[Any], low: pd.Series[Any], high: pd.Series[Any], color: str) -> None:
    """Shade from low to high, or draw a bar at a single point."""
    if len(x) > 1:
        ax.fill_between(x, low, high, color=color, alpha=0.13, linewidth=0)
    else:
        ax.vlines(x, low, high, color=color, linewidth=0.8, alpha=0.5)


def _dense_band(ax: Axes, valid: pd.DataFrame) -> Line2D:
    dense = valid[valid["method"] == DENSE].iloc[0]
    if dense["stderr"] == dense["stderr"]:
        low, high = dense["value"] - dense["stderr"], dense["value"] + dense["stderr"]
        ax.axhspan(low, high, color="#000000", alpha=0.07, linewidth=0, zorder=0)
    style: dict[str, Any] = {"color": DENSE_LOOK.color, "linestyle": DENSE_LOOK.line}
    return ax.axhline(dense["value"], linewidth=0.9, label=literal(str(dense["variant"])), **style)


def _mark_gaps(ax: Axes, cells: pd.DataFrame, x: str) -> list[Line2D]:
    """Mark each cell without a valid score by a red cross at the foot of the axis; return its legend handle, if any."""
    if (cells.loc[cells["method"] == DENSE, "note"] != "").any():
        mark_gap(ax, "dense has no valid score")
    gaps = cells[(cells["note"] != "") & (cells["method"] != DENSE)]
    if gaps.empty:
        return []
    foot = [0.02] * len(gaps)
    style: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False, "label": "no valid score"}
    return ax.plot(gaps[x], foot, "x", color="#AA0000", **style)


def draw_published(ax: Axes, panel: Panel, cells: pd.DataFrame, points: pd.DataFrame) -> list[Line2D]:
    """Draw hollow markers at the published points of the panel, by their compression; return legend handles, if any.

    Methods that did not run here get an entry each, the others one together.
    """
    mine = points[(points["model"] == panel.model) & (points["task"] == panel.task)]
    mine = mine[mine["metric"] == panel.metric]
    dense = dense_bytes(cells)
    handles = []
    for method, group in mine.groupby("method", sort=False):
        ordered, name = group.sort_values("compression"), str(method)
        if name == DENSE:
            ax.axhline(ordered["score"].iloc[0], color="#000000", linewidth=0.7, linestyle=":")
            continue
        (line,) = ax.plot(dense / ordered["compression"], ordered["score"], **_hollow(look(group.iloc[0])))
        if name in set(cells.loc[cells["note"] == "", "method"]):
            line = Line2D([], [], label="published", **_hollow(Look("#555555", "o")))
        else:
            line.set_label(f"{group['title'].iloc[0]}, published")
        handles.append(line)
    return handles


def _hollow(style: Look) -> dict[str, Any]:
    line = {"color": style.color, "linestyle": ":", "linewidth": 0.7}
    return line | {"marker": style.marker, "markerfacecolor": "white", "markersize": 4.5, "zorder": 3}


def join_handles(handles: list[Line2D]) -> list[Line2D]:
    """Keep one handle per label, in the order of their first appearance; published points come last."""
    first: dict[str, Line2D] = {}
    for handle in handles:
        first.setdefault(str(handle.get_label()), handle)
    return sorted(first.values(), key=lambda handle: str(handle.get_label()).endswith("published"))
