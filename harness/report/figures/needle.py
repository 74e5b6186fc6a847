"""Draws needle in a haystack: accuracy by context length and depth, a heat map per method and ratio or setting."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from harness.report.drawing.layout import by_model
from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import TEXT, literal
from harness.report.load import Panel, Results
from harness.report.names import DENSE
from harness.report.sources import Sources
from harness.report.tables import variant_order
from harness.report.timings import thousands
from harness.tables.text import setting

ACROSS = 4
CAPTION = (
    "Share of needles found, by context length in tokens and depth of the needle (0: start of the context). Hatched: "
    "not run. In brackets: the compression ratio that knobs were solved for at each length, or the knobs."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source, of runs whose rows have `length` (tokens) and `depth` (0 to 1)."""
    if sources.results is None:
        return
    for model, data, panels in by_model(sources.results, one_metric=True):
        maps = _maps([_found(sources.results, panel, cells) for panel, cells in panels])
        if maps:
            yield Drawing(file_stem("needle", model, data), _figure(maps), f"{model} ({data}). {CAPTION}")


def _found(results: Results, panel: Panel, cells: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of one task: length, depth, value, and title and place of their map; none if unlabelled."""
    rows = results.rows(panel, ["cell", "length", "depth", "value"])
    if not {"length", "depth"} <= set(rows.columns):
        return pd.DataFrame()
    lines = {str(line["cell"]): line for line in cells.to_dict("records")}
    ranks = {variant: rank for rank, variant in enumerate(variant_order(cells))}
    places = {cell: (_ratio(line), ranks[line["variant"]], _title(line)) for cell, line in lines.items()}
    return rows.assign(map=rows["cell"].map(places))


def _ratio(line: Mapping[Any, Any]) -> float:
    """Return the ratio that maps are ordered by; settings that no ratio asked for come last."""
    return 1.0 if line["method"] == DENSE else line["ratio"] if math.isfinite(line["ratio"]) else math.inf


def _title(line: Mapping[Any, Any]) -> str:
    if line["method"] == DENSE:
        return str(line["variant"])
    at = f"{line['ratio']:g}x" if math.isfinite(line["ratio"]) else setting(line["params"])
    return f"{line['variant']} ({at})"


def _maps(found: list[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Make titled tables, depth x length, of the mean score: all with the same axes."""
    rows = pd.concat(found, ignore_index=True)
    if rows.empty:
        return {}
    depths, lengths = (sorted(rows[name].unique()) for name in ("depth", "length"))
    tables = rows.pivot_table(index=["map", "depth"], columns="length", values="value", aggfunc="mean")
    return {place[2]: tables.loc[place].reindex(depths, columns=lengths) for place in sorted(set(rows["map"]))}


def _figure(maps: Mapping[str, pd.DataFrame]) -> Figure:
    down, across = -(-len(maps) // ACROSS), min(len(maps), ACROSS)
    figure = Figure(figsize=(TEXT * max(across, 2) / ACROSS, 1.5 * down + 0.3), layout="constrained")
    axes = list(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False).flat)
    for spare in axes[len(maps) :]:
        spare.remove()
    drawn = axes[: len(maps)]
    images = [_heat_map(ax, title, table) for ax, (title, table) in zip(drawn, maps.items(), strict=True)]
    for i, ax in enumerate(drawn):
        ax.set_ylabel("Depth" if i % across == 0 else "")
        ax.set_xlabel("Context length in tokens" if i + across >= len(maps) else "")
        ax.tick_params(labelbottom=i + across >= len(maps))
    figure.colorbar(images[0], ax=drawn, label="Needles found", shrink=0.8, aspect=15 * down)
    return figure


def _heat_map(ax: Axes, title: str, table: pd.DataFrame) -> AxesImage:
    ax.patch.set(hatch="xxxx", edgecolor="#BBBBBB", facecolor="white")
    image = ax.imshow(table.to_numpy(float), vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest")
    columns = range(0, len(table.columns), max(1, len(table.columns) // 4))
    rows = range(0, len(table.index), max(1, (len(table.index) - 1) // 4))
    ax.set_xticks(list(columns), [thousands(float(table.columns[i])) for i in columns])
    ax.set_yticks(list(rows), [f"{float(table.index[i]):.2g}" for i in rows])
    ax.set_title(literal(title))
    return image
