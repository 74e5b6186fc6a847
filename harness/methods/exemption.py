"""Says in which layers of a model a method acts: the engine leaves the others dense, and the grid counts them so."""

from __future__ import annotations

from collections.abc import Sequence
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

    def misfit(self, windowed: Sequence[bool]) -> str | None:
        """Say why it fits no model with such layers; None where all that it names are there and one is acted in."""
        first = self.dense_layers if isinstance(self.dense_layers, int) else 0
        listed = "" if isinstance(self.dense_layers, int) else self.dense_layers
        numbers = [int(part) for part in listed.split(",") if part.isdecimal()]
        if max(first, *(number + 1 for number in numbers), 0) > len(windowed):
            said = f"dense_layers={self.dense_layers} names more layers than the model's {len(windowed)}"
            return f"{said}: " + (f"numbers go up to {len(windowed) - 1}" if listed else "take fewer")
        if not any(self.acts_in(layer, has) for layer, has in enumerate(windowed)):
            with_window = f" ({sum(windowed)} with a window)" if self.layers == "full" else ""
            said = f"dense_layers={self.dense_layers} layers={self.layers}"
            return f"{said} leaves no layer to act in, of the model's {len(windowed)}{with_window}"
        return None
