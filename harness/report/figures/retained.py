"""Score against the share of the cached tokens that attention is computed on exactly."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from harness.report.drawing.axes import log2_axis, score_axis
from harness.report.drawing.curves import draw_curves
from harness.report.drawing.layout import by_model, legend_above, panel_figure, panel_name
from harness.report.drawing.save import Drawing, file_stem
from harness.report.names import DENSE
from harness.report.sources import Sources
from harness.report.variants import knob

CAPTION = (
    "Score against k / prompt length, the share of cached tokens whose V is read (of methods with a knob k). Bytes "
    "differ between methods at the same share: SparQ reads channels of all keys besides, FlexGen all of K."
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """One figure per model and data set source."""
    if sources.results is None:
        return
    for model, data, panels in by_model(sources.results):
        figure, axes = panel_figure(len(panels))
        handles: list[Line2D] = []
        for ax, (panel, cells) in zip(axes, panels, strict=True):
            log2_axis(ax, "x", FuncFormatter(lambda share, _: f"1/{1 / share:g}" if share < 1 else f"{share:g}"))
            handles += draw_curves(ax, with_share(cells), "share")
            ax.set_title(panel_name(panel))
            ax.set_xlabel("Share of cached tokens kept")
            score_axis(ax, panel.metric, bool(cells["higher_is_better"].iloc[0]))
        legend_above(figure, handles)
        yield Drawing(file_stem("retained", model, data), figure, f"{model} ({data}). {CAPTION}")


def with_share(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells that have a k, and dense, with the column `share` = min(1, k / prompt tokens)."""
    k = cells["params"].map(lambda params: knob(params, "k")).astype(float)
    shared = cells.assign(share=(k / cells["prompt_tokens"]).clip(upper=1.0))
    return shared[shared["share"].notna() | (shared["method"] == DENSE)]
