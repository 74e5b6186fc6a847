"""Draws how far predictions are from dense's along dense's own tokens: mean KL divergence against bytes moved."""

from __future__ import annotations

from collections.abc import Iterator

from harness.report.drawing.drift import Drift, draw_drift
from harness.report.drawing.save import Drawing
from harness.report.sources import Sources

DRIFT = Drift(
    figure="kl",
    column="kl",
    axis="KL(dense || method) [nats]",
    caption="Mean KL divergence of the next token's probabilities from those of dense attention, over the decode steps "
    "along the tokens that dense generates greedily. Runs with divergence=true alone have it.",
)


def draw(sources: Sources) -> Iterator[Drawing]:
    """Draw one figure per model and data set source, of runs that were compared."""
    return draw_drift(sources, DRIFT)
