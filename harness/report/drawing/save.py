"""Writes figures as files: PDF and SVG for print, PNG to look at. The same data give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from harness.report.drawing.style import RC

FORMATS: dict[str, dict[str, None]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "png": {}}
"""Formats and the metadata that would differ from run to run."""


@dataclass(frozen=True)
class Drawing:
    """Holds a figure, the name of its files, and what a caption has to say."""

    stem: str
    figure: Figure
    caption: str


def save(drawings: Iterable[Drawing], folder: Path) -> list[Drawing]:
    """Draw and write each one as folder/STEM.{pdf,svg,png}; returns them."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with rc_context(RC):  # type: ignore[arg-type]  # also around the iteration: drawings are made as they are asked for
        for drawing in drawings:
            drawing.figure.draw_without_rendering()
            drawing.figure.set_layout_engine(None)  # laid out once, not for every format: most of the time
            for ending, metadata in FORMATS.items():
                drawing.figure.savefig(folder / f"{drawing.stem}.{ending}", metadata=metadata)
            written.append(drawing)
    return written


def file_stem(*parts: str) -> str:
    """Join parts to a file name: whatever is no letter, digit, dot or hyphen becomes a hyphen."""
    text = "-".join(part for part in parts if part)
    return "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "-" for c in text)[:120]
