"""Draws attention alone: microseconds per query against cached tokens, a curve per method, a panel per device."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from harness.report.drawing.axes import log2_axis
from harness.report.drawing.layout import legend_above, panel_figure
from harness.report.drawing.save import Drawing
from harness.report.drawing.style import literal
from harness.report.sources import Sources
from harness.report.timings import one_layout, series, thousands

CAPTION = (
    "Time of one decode step's attention per query (call / batch), at the largest batch measured at two lengths or "
    "more. Bands: 10th to 90th percentile of the calls."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure with a panel per device."""
    if sources.attention.empty:
        return
    devices = [(str(device), _one_batch(times)) for device, times in sources.attention.groupby("device")]
    figure, axes = panel_figure(len(devices))
    handles: list[Line2D] = []
    for ax, (device, times) in zip(axes, devices, strict=True):
        handles += _curves(ax, times)
        ax.set_title(literal(f"{device}, batch {times['batch'].iloc[0]}"))
    legend_above(figure, handles)
    yield Drawing("attention_time", figure, CAPTION)


def _one_batch(times: pd.DataFrame) -> pd.DataFrame:
    times = one_layout(times)
    lengths = times.groupby("batch")["seq"].nunique()
    several = lengths[lengths > 1]
    largest = (several if len(several) else lengths).index.max()
    selected: pd.DataFrame = times[times["batch"] == largest]
    return selected


def _curves(ax: Axes, times: pd.DataFrame) -> list[Line2D]:
    per_query = times.assign(**{name: times[name] / times["batch"] for name in ("median_us", "p10_us", "p90_us")})
    handles = []
    for timed in series(per_query, "median_us"):
        ordered, style = timed.times.sort_values("seq"), timed.look
        ax.fill_between(
            ordered["seq"], ordered["p10_us"], ordered["p90_us"], color=style.color, alpha=0.15, linewidth=0
        )
        (line,) = ax.plot(
            ordered["seq"], ordered["median_us"], color=style.color, marker=style.marker, linestyle=style.line,
            label=literal(timed.label),
        )  # fmt: skip
        handles.append(line)
    log2_axis(ax, "x", FuncFormatter(lambda tokens, _: thousands(tokens)))
    log2_axis(ax, "y")
    ax.set(xlabel="Cached tokens S", ylabel="Time per query [µs]")
    return handles
