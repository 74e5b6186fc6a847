"""Defines the look of every figure: sizes of a two-column paper, a colour per family, a marker per method in it."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

from harness.report.methods import CONTROLS, Line, families
from harness.report.names import DENSE
from harness.text import printable

COLUMN, TEXT = 3.25, 6.75
"""Inches: a column and the full text width of a two-column conference paper."""

RC: dict[str, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 7,
    "axes.titlesize": 7.5,
    "axes.labelsize": 7,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.labelsize": 6.5,
    "ytick.labelsize": 6.5,
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "legend.fontsize": 6.5,
    "legend.frameon": False,
    "lines.linewidth": 1.1,
    "lines.markersize": 4,
    "hatch.linewidth": 0.4,
    "pdf.fonttype": 42,
    "svg.fonttype": "none",
    "svg.hashsalt": "harness",
    "savefig.dpi": 300,
}


@dataclass(frozen=True)
class Look:
    """Describes how the curve of a method is drawn."""

    color: str
    marker: str
    line: str = "-"


DENSE_LOOK = Look("#000000", "_", "--")
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
"""Okabe and Ito's (Color Universal Design, 2008), told apart under every common colour blindness: one for a family."""
GREY = "#7F7F7F"
"""The colour of controls."""
MARKERS = ("o", "s", "^", "D", "v", "P", ">", "<", "X", "*")
LINES = ("-", "-.")
SPARE_MARKERS = ("p", "h", "8", "d")
"""Markers of methods whose family is not known."""


def look(line: Line) -> Look:
    """Return the look of the method of a line, the same in every figure: colour by family, marker by rank within it.

    Ranks that share a marker, ten apart, differ in their line. A method whose family nobody knows has a colour and a
    marker by its name.
    """
    family, rank = str(line["family"]), int(line["rank"])
    if line["method"] == DENSE:
        return DENSE_LOOK
    if not family:
        return Look(PALETTE[rank % len(PALETTE)], SPARE_MARKERS[rank // len(PALETTE) % len(SPARE_MARKERS)], "-.")
    marker, turn = MARKERS[rank % len(MARKERS)], rank // len(MARKERS)
    return Look(GREY, marker, ":") if family == CONTROLS else Look(_color(family), marker, LINES[(rank + turn) % 2])


def _color(family: str) -> str:
    known = families()
    return PALETTE[(known.index(family) if family in known else zlib.crc32(family.encode())) % len(PALETTE)]


def literal(text: str) -> str:
    """Return text that matplotlib prints as it is: a dollar sign would begin a formula, an escape end an SVG."""
    return printable(text).replace("\\", r"\\").replace("$", r"\$")
