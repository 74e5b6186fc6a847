"""Draws score against the share of the cached tokens that attention is computed on exactly."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from harness.report.drawing.axes import log2_axis, score_axis
from harness.report.drawing.curves import draw_curves
from harness.report.drawing.layout import panel_name, panels_by_model
from harness.report.drawing.save import Drawing, file_stem
from harness.report.load import Panel
from harness.report.names import DENSE
from harness.report.sources import Sources
from harness.report.variants import knob

CAPTION = (
    "Score against k / prompt length, the share of cached tokens whose V is read (of methods with a knob k). Bytes "
    "differ between methods at the same share: SparQ reads channels of all keys besides, FlexGen all of K."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source."""
    if sources.results is not None:
        for model, data, _, figure in panels_by_model(sources.results, _panel):
            yield Drawing(file_stem("retained", model, data), figure, f"{model} ({data}). {CAPTION}")


def _panel(ax: Axes, panel: Panel, cells: pd.DataFrame) -> list[Line2D]:
    log2_axis(ax, "x", FuncFormatter(lambda share, _: f"1/{1 / share:g}" if share < 1 else f"{share:g}"))
    handles = draw_curves(ax, with_share(cells), "share")
    ax.set_title(panel_name(panel))
    ax.set_xlabel("Share of cached tokens kept")
    score_axis(ax, panel.metric, bool(cells["higher_is_better"].iloc[0]))
    return handles


def with_share(cells: pd.DataFrame) -> pd.DataFrame:
    """Select the cells that have a k above 0, and dense, with the column `share` = min(1, k / prompt tokens)."""
    k = cells["params"].map(lambda params: knob(params, "k")).astype(float)
    shared = cells.assign(share=(k.where(k > 0) / cells["prompt_tokens"]).clip(upper=1.0))
    return shared[shared["share"].notna() | (shared["method"] == DENSE)]
