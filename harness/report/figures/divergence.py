"""Draws how far log-likelihoods drift from dense's: mean absolute difference per token against bytes moved."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.drawing.drift import Drift, draw_drift
from harness.report.drawing.save import Drawing
from harness.report.sources import Sources

DRIFT = Drift(
    figure="divergence",
    column="delta_nll",
    axis="|Δ log p| [nats/token]",
    caption="Mean absolute difference in log-likelihood per token to dense attention, over outputs of equal tokens "
    "(all of a teacher-forced text). A setting whose outputs all differ has none.",
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source."""
    return draw_drift(sources, DRIFT)
