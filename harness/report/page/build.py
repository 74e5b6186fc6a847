"""Builds the page as one string: template, style, script, Plotly and data in one file."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from harness.tables.marks import DECIDED, INTERVAL, MEANING

HERE = Path(__file__).parent


def build_page(content: Mapping[str, Any]) -> str:
    """Build the HTML of the interactive page of some content; it needs no network."""
    from plotly.offline import get_plotlyjs  # type: ignore[import-untyped]  # here: it takes a second

    parts = {
        "STYLE": _read("page.css"),
        "PLOTLY": get_plotlyjs(),
        "DATA": embedded(content),
        "SCRIPT": _read("chart.js") + _read("reader.js"),
        "MARKS": html.escape(f"Score ± standard error. vs dense: {INTERVAL}. {MEANING}. {DECIDED}."),
    }
    before, *rest = _read("template.html").split("{{")
    pieces = (piece.split("}}", 1) for piece in rest)
    return before + "".join(parts[name] + text for name, text in pieces)


def embedded(data: Any) -> str:
    """Write JSON that cannot leave its script element, whatever a model wrote."""
    text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    # A lone surrogate is no text that a file can hold.
    return text.encode("utf-8", "replace").decode("utf-8")


def _read(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
