"""The look of every figure: sizes of a two-column paper, a colour-blind-safe palette, one marker per method."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

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
    """How the curve of a method is drawn."""

    color: str
    marker: str
    line: str = "-"


# Okabe and Ito's palette (Color Universal Design, 2008): told apart under every common colour blindness.
_LOOKS = {
    "dense": Look("#000000", "_", "--"),
    "sparq": Look("#0072B2", "o"),
    "h2o": Look("#E69F00", "s"),
    "lm_infinite": Look("#009E73", "^"),
    "flexgen": Look("#D55E00", "D"),
    "lru": Look("#CC79A7", "v"),
    "low_rank": Look("#56B4E9", "P"),
    "oracle_topk": Look("#7F7F7F", "X", ":"),
    "random_k": Look("#7F7F7F", "*", ":"),
    "streaming": Look("#009E73", ">", "-."),
    "window": Look("#CC79A7", "<", "-."),
    "Triton dense": Look("#555555", "p", ":"),
}
_SPARE_COLORS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
_SPARE_MARKERS = ("p", "h", "8", "d")


def look(method: str) -> Look:
    """The look of a method; one that is new here gets its own from its name, the same in every figure."""
    if method in _LOOKS:
        return _LOOKS[method]
    number = zlib.crc32(method.encode())
    color = _SPARE_COLORS[number % len(_SPARE_COLORS)]
    return Look(color, _SPARE_MARKERS[number // len(_SPARE_COLORS) % len(_SPARE_MARKERS)], "-.")


def literal(text: str) -> str:
    """Text that matplotlib prints as it is: a dollar sign would begin a formula."""
    return text.replace("\\", r"\\").replace("$", r"\$")
