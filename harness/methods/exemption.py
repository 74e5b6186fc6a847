"""Says in which layers of a model a method acts: the engine leaves the others dense, and the grid counts them so."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from harness.methods.knob_types import Is

DenseLayers = Annotated[
    int | str,
    Is(
        "a number of first layers, or numbers of layers such as '0,16'",
        lambda value: value >= 0 if isinstance(value, int) else all(part.isdecimal() for part in value.split(",")),
        (int, str),
    ),
]
"""Counts the first layers that stay dense, or lists the numbers of those that do."""
Layers = Literal["all", "full"]
"""Says whether a method acts in all layers, or only in those without a window."""


@dataclass(frozen=True)
class Exemption:
    """Names the layers that stay dense: by number, and all with a window where only `full` layers are acted in."""

    dense_layers: int | str = 0
    layers: Layers = "all"

    def acts_in(self, layer: int, windowed: bool) -> bool:
        """Return True if a method acts in a layer, numbered from 0."""
        if windowed and self.layers == "full":
            return False
        if isinstance(self.dense_layers, int):
            return layer >= self.dense_layers
        return str(layer) not in self.dense_layers.split(",")
