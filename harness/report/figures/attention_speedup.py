"""Draws attention alone: speed-up over the best dense implementation, by batch size and cached tokens."""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import fill

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from matplotlib.ticker import FuncFormatter, MaxNLocator

from harness.report.drawing.layout import panel_figure
from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import literal
from harness.report.names import DENSE
from harness.report.sources import Sources
from harness.report.timings import one_layout, series, thousands, with_speedup

CAPTION = (
    "Speed-up of one decode step's attention over the fastest dense implementation of the same shape (1: as fast; "
    "blue: slower). Hatched: not measured."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per device with a panel per method."""
    if sources.attention.empty:
        return
    for device, times in with_speedup(sources.attention, "median_us").groupby("device"):
        curves = series(one_layout(times), "median_us")
        found = [(timed.label, _table(timed.times)) for timed in curves if timed.method != DENSE]
        panels = [(label, table) for label, table in found if table.notna().any(axis=None)]
        if not panels:
            continue
        figure, axes = panel_figure(len(panels))
        reach = max(1.0, *(float(np.nanmax(np.abs(np.log2(table.to_numpy(float))))) for _, table in panels))
        images = [_heat_map(ax, label, table, reach) for ax, (label, table) in zip(axes, panels, strict=True)]
        powers = FuncFormatter(lambda octaves, _: f"{2**octaves:g}" if octaves >= 0 else f"1/{2**-octaves:g}")
        figure.colorbar(
            images[0], ax=axes, label="Speed-up over dense", format=powers, ticks=MaxNLocator(5, integer=True)
        )
        yield Drawing(file_stem("attention_speedup", str(device)), figure, f"{device}. {CAPTION}")


def _table(times: pd.DataFrame) -> pd.DataFrame:
    """Arrange the speed-up by batch (rising upwards) x cached tokens."""
    return times.pivot_table(index="batch", columns="seq", values="speedup").sort_index(ascending=False)


def _heat_map(ax: Axes, label: str, table: pd.DataFrame, reach: float) -> AxesImage:
    """Draw colours on a log scale, `reach` octaves to both sides of 1."""
    ax.patch.set(hatch="xxxx", edgecolor="#BBBBBB", facecolor="white")
    octaves = np.log2(table.to_numpy(float))
    image = ax.imshow(octaves, vmin=-reach, vmax=reach, cmap="RdBu_r", aspect="auto", interpolation="nearest")
    ax.set_xticks(range(len(table.columns)), [thousands(float(seq)) for seq in table.columns])
    ax.set_yticks(range(len(table.index)), [str(batch) for batch in table.index])
    for (i, j), value in np.ndenumerate(octaves):
        if np.isfinite(value):
            color = "white" if abs(value) > 0.7 * reach else "black"
            ax.text(j, i, f"{2**value:.1f}", ha="center", va="center", fontsize=6, color=color)
    ax.set(title=fill(literal(label), 28), xlabel="Cached tokens S", ylabel="Batch")
    return image
