"""How long the decoding of a batch takes, by the time model: its kernels and what launches them. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.forecast.time_model import Device, ModelSize, TimeModel

LAUNCHED = 2
"""Steps of a batch that Python launches: the first, which starts every layer, and the one that a CUDA graph records."""


@dataclass(frozen=True)
class Decoding:
    """What one batch decodes: `steps`, `rows` under each cell.

    `reads` holds the access pattern of every cell (harness/methods/about.py), and the bytes of KV cache that a step
    moves for one row over all layers.
    """

    steps: int
    rows: int
    reads: Sequence[tuple[str, float]]

    def kernel_seconds(self, model: TimeModel, device: Device, size: ModelSize) -> float:
        """If nothing had to be waited for but the kernels."""
        attention = (model.attention_seconds(device, size, access, read, self.rows) for access, read in self.reads)
        return self.steps * (model.linear_seconds(device, size, self.rows * len(self.reads)) + sum(attention))

    def seconds(self, model: TimeModel, device: Device, size: ModelSize) -> float:
        """The kernels, and what launching them adds to the steps that are not replayed."""
        launched = min(self.steps, LAUNCHED) * len(self.reads) * size.layers
        return self.kernel_seconds(model, device, size) + launched * model.call_us / 1e6
