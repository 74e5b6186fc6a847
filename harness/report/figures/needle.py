"""Needle in a haystack: accuracy by context length and needle depth, a heat map per method and setting."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import TEXT, literal
from harness.report.load import Panel, Results
from harness.report.names import DENSE
from harness.report.sources import Sources
from harness.report.tables import variant_order

ACROSS = 4
CAPTION = (
    "Share of needles found, by context length in tokens and depth of the needle (0: start of the context). Hatched: "
    "not run. In brackets: compression ratio."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """One figure per model, of runs whose rows have the columns `length` (tokens) and `depth` (0 to 1)."""
    if sources.results is None:
        return
    for panel, cells in sources.results.panels():
        maps = _maps(sources.results, panel, cells)
        if maps:
            yield Drawing(file_stem("needle", panel.model, panel.task), _figure(maps), f"{panel.model}. {CAPTION}")


def _maps(results: Results, panel: Panel, cells: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Titled tables, depth x length, of the mean score."""
    rows = results.rows(panel, ["cell", "length", "depth", "value"])
    if not {"length", "depth"} <= set(rows.columns) or rows["length"].isna().all():
        return {}
    maps = {}
    for variant in variant_order(cells):
        for line in cells[(cells["variant"] == variant) & (cells["note"] == "")].to_dict("records"):
            mine = rows[rows["cell"] == line["cell"]]
            title = variant if line["method"] == DENSE else f"{variant} ({line['compression']:.1f}x)"
            maps[title] = mine.pivot_table(index="depth", columns="length", values="value", aggfunc="mean")
    lengths = sorted({length for table in maps.values() for length in table.columns})
    depths = sorted({depth for table in maps.values() for depth in table.index})
    return {title: table.reindex(index=depths, columns=lengths) for title, table in maps.items()}


def _figure(maps: dict[str, pd.DataFrame]) -> Figure:
    down = -(-len(maps) // ACROSS)
    across = min(len(maps), ACROSS)
    figure = Figure(figsize=(TEXT * max(across, 2) / ACROSS, 1.6 * down + 0.3), layout="constrained")
    axes = np.atleast_1d(figure.subplots(down, across, sharex=True, sharey=True, squeeze=False)).ravel()
    image = None
    for ax, (title, table) in zip(axes, maps.items(), strict=False):
        image = _heat_map(ax, title, table)
    for spare in axes[len(maps) :]:
        spare.remove()
    for i, ax in enumerate(axes[: len(maps)]):
        ax.set_ylabel("Depth" if i % across == 0 else "")
        ax.set_xlabel("Context length" if i + across >= len(maps) else "")
        ax.tick_params(labelbottom=i + across >= len(maps))
    assert image is not None
    figure.colorbar(image, ax=list(axes[: len(maps)]), label="Accuracy", shrink=0.8, aspect=15 * down)
    return figure


def _heat_map(ax: Axes, title: str, table: pd.DataFrame) -> AxesImage:
    ax.patch.set(hatch="xxxx", edgecolor="#BBBBBB", facecolor="white")
    image = ax.imshow(table.to_numpy(float), vmin=0, vmax=1, cmap="cividis", aspect="auto", interpolation="nearest")
    columns = range(0, len(table.columns), max(1, len(table.columns) // 4))
    rows = range(0, len(table.index), max(1, (len(table.index) - 1) // 4))
    ax.set_xticks(list(columns), [f"{float(table.columns[i]) / 1024:.2g}k" for i in columns])
    ax.set_yticks(list(rows), [f"{float(table.index[i]):.2g}" for i in rows])
    ax.set_title(literal(title))
    return image
