"""Draws decoding end to end: speed-up in milliseconds per token over dense, against the cached tokens."""

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
from harness.report.names import DENSE
from harness.report.sources import Sources
from harness.report.timings import series, thousands, with_speedup

CAPTION = (
    "Time per generated token of dense decoding with the fastest attention (dashed: 1), divided by the method's, by "
    "batch size. In brackets: the compression ratio."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure with a panel per device and batch size."""
    if sources.generate.empty:
        return
    times = with_speedup(sources.generate, "ms_per_token")
    panels = [(f"{key[0]}, batch {key[1]}", group) for key, group in times.groupby(["device", "batch"])]
    figure, axes = panel_figure(len(panels))
    handles: list[Line2D] = []
    for ax, (title, group) in zip(axes, panels, strict=True):
        handles += _curves(ax, group)
        ax.set_title(literal(title))
    if handles:
        legend_above(figure, handles)
    yield Drawing("generate_speedup", figure, CAPTION)


def _curves(ax: Axes, times: pd.DataFrame) -> list[Line2D]:
    handles = []
    ax.axhline(1, color="black", linestyle="--", linewidth=0.8)
    for timed in series(times, "ms_per_token"):
        if timed.method == DENSE:
            continue
        ordered, style = timed.times.sort_values("seq"), timed.look
        (line,) = ax.plot(
            ordered["seq"], ordered["speedup"], color=style.color, marker=style.marker, linestyle=style.line,
            label=literal(timed.label),
        )  # fmt: skip
        handles.append(line)
    log2_axis(ax, "x", FuncFormatter(lambda tokens, _: thousands(tokens)))
    ax.set(xlabel="Cached tokens S", ylabel="Speed-up over dense", ylim=(0, None))
    return handles
