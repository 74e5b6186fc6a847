"""Sums what a method measured that it moved, over the layers of a model, beside what dense attention moves there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.attention import Step
from harness.methods.cost import LayerAt, dense_cost


class Measured:
    """Holds the bits moved by each decode step of each row, both [T, B]: by the method, and by dense attention."""

    def __init__(self, rows: int, steps: int, device: torch.device) -> None:
        precise = torch.float32 if device.type == "mps" else torch.float64
        self._moved, self._dense = torch.zeros(2, steps, rows, dtype=precise, device=device)

    def note(self, done: int, steps: Sequence[Step], moved: Sequence[Tensor] | None) -> None:
        """Add one layer's steps, the first of which is number `done`; moved: bits [B] each, None where it is dense."""
        for t, step in enumerate(steps, done):
            dense = _dense(step, self._dense.dtype).to(self._dense.device)
            self._dense[t] += dense
            self._moved[t] += dense if moved is None else moved[t - done].to(dense)

    def shares(self, counts: Sequence[int]) -> list[float | None]:
        """Return the share of dense's bits that each row moved over its first so many steps; None without a step."""
        moved, dense = self._moved.cumsum(0).tolist(), self._dense.cumsum(0).tolist()
        return [moved[n - 1][row] / dense[n - 1][row] if n > 0 else None for row, n in enumerate(counts)]


def _dense(step: Step, dtype: torch.dtype) -> Tensor:
    """Count the bits [B] that dense attention moves in a layer: what each row sees, over all its KV heads."""
    _, h, _, d = step.k.shape
    token = dense_cost(LayerAt(1, d, prompt=1))
    seen = step.mask
    if step.kv_lengths is not None:  # the others are free
        seen = seen & (torch.arange(step.length, device=seen.device) < step.kv_lengths[:, None])[:, None]
    return h * (seen.sum((1, 2)).to(dtype) * token.attend + token.write)
