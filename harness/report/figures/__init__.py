"""Holds one figure per file: a module with `draw(sources)`, found by its file; nothing else lists them."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Protocol, cast

from harness.errors import InputError
from harness.report.drawing.save import Drawing
from harness.report.sources import Sources


class FigureModule(Protocol):
    """Describes what a file of this folder offers; its docstring says in one line what is drawn."""

    __doc__: str | None

    def draw(self, sources: Sources) -> Iterator[Drawing]:
        """Draw the figures that the sources allow; none where they hold no data for it."""
        ...


def names() -> list[str]:
    """List every figure, in alphabetical order."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> FigureModule:
    """Return the module of a figure. Raises InputError for an unknown name."""
    if name not in names():
        raise InputError(f"unknown figure '{name}': choose from {', '.join(names())}")
    return cast("FigureModule", importlib.import_module(f"{__name__}.{name}"))


def draw_all(sources: Sources) -> Iterator[Drawing]:
    """Draw every figure that the sources allow."""
    for name in names():
        yield from find(name).draw(sources)
