"""Draws the share of examples whose output still equals dense's, by generated token, at an eighth of its transfers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator, PercentFormatter

from harness.report.drawing.layout import by_model, legend_above, panel_figure, panel_name
from harness.report.drawing.save import Drawing, file_stem
from harness.report.drawing.style import literal, look
from harness.report.load import Panel, Results
from harness.report.names import DENSE
from harness.report.ratios import OCTAVE, nearest
from harness.report.sources import Sources
from harness.report.tables import variant_order

RATIO = 8.0
CAPTION = (
    "Share of examples whose first t generated tokens equal those of dense attention, each method at its setting "
    "nearest to an eighth of dense's transfers (at most a factor of 2 away). An output that ended without a difference "
    "counts as equal. The first token comes from the dense prefill."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source, of the tasks whose outputs are generated."""
    results = sources.results
    if results is None:
        return
    for model, data, panels in by_model(results, one_metric=True):
        drawn = [(panel, cells, curves) for panel, cells in panels if (curves := _curves(results, panel, cells))]
        if not drawn:
            continue
        figure, axes = panel_figure(len(drawn))
        handles = [
            handle
            for ax, (panel, cells, curves) in zip(axes, drawn, strict=True)
            for handle in _draw(ax, panel, cells, curves)
        ]
        legend_above(figure, handles)
        yield Drawing(file_stem("agreement", model, data), figure, f"{model} ({data}). {CAPTION}")


def still_equal(rows: pd.DataFrame) -> np.ndarray:
    """Count the share of one cell's rows that equal dense in their first t tokens, [T + 1] for t = 0 ... T."""
    longest = int(rows["new_tokens"].max())
    first = rows["first_difference"].fillna(np.inf).to_numpy(float)
    shares: np.ndarray = (first[None, :] >= np.arange(longest + 1)[:, None]).mean(1)
    return shares


def _curves(results: Results, panel: Panel, cells: pd.DataFrame) -> dict[str, np.ndarray]:
    """Compute a curve per variant; none where dense is missing or nothing was generated, as in teacher-forced texts."""
    rows = results.rows(panel, ["cell", "first_difference", "new_tokens"])
    has_dense = ((cells["method"] == DENSE) & (cells["note"] == "")).any()
    if rows.empty or not has_dense or rows["first_difference"].isna().all():
        return {}
    found = {}
    for variant in variant_order(cells):
        group = cells[(cells["variant"] == variant) & (cells["note"] == "") & (cells["method"] != DENSE)]
        cell = nearest(group, RATIO, OCTAVE)
        if cell is not None and (mine := rows[rows["cell"] == cell["cell"]]).size:
            found[variant] = still_equal(mine)
    return found


def _draw(ax: Axes, panel: Panel, cells: pd.DataFrame, curves: dict[str, np.ndarray]) -> list[Line2D]:
    lines = {line["variant"]: line for line in cells.to_dict("records")}
    handles = []
    for variant, shares in curves.items():
        style = look(lines[variant])
        every = max(1, len(shares) // 6)
        (line,) = ax.plot(
            shares, drawstyle="steps-post", color=style.color, linestyle=style.line, marker=style.marker,
            markevery=every, label=literal(variant),
        )  # fmt: skip
        handles.append(line)
    ax.set(title=panel_name(panel), xlabel="Generated tokens t", ylabel="Outputs equal to dense", ylim=(-0.03, 1.05))
    ax.yaxis.set_major_formatter(PercentFormatter(1))
    ax.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    return handles
