"""Finds the rows of a batch that a method is active in: those where some layer's output is not dense attention's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.engine.cache import NewColumns
from harness.kernels import KernelBinding
from harness.methods import Method

NEVER = 1 << 40
ROUNDING = 1e-5
"""Largest difference between two ways to compute the same attention in float32, relative to the largest output.

On SmolLM2 it is 2.3e-6 in the worst layer; what a method leaves out makes 1e-5 at the least, 0.2 in the median layer.
"""


class Activity:
    """Compares a method's outputs with dense attention, in every layer, until each of the rows has differed.

    Layers may lie on several devices; what differs is gathered on one.

    `dense` computes dense attention the way the method's is computed, in torch or by a kernel. The first step at which
    a row differs, in whichever layer, is noted on the device; the host reads it when it has to wait anyway.
    """

    def __init__(self, dense: Method[Any] | KernelBinding, rows: int, device: torch.device) -> None:
        self._dense = dense
        self._dense_states: dict[int, Any] = {}
        self._changed_at = torch.full((rows,), NEVER, device=device)
        self._all_changed_at = NEVER  # as far as the host knows

    def is_open(self, step: int) -> bool:
        """Return True if some row may have kept to dense attention until this decode step."""
        return step < self._all_changed_at

    def close(self) -> None:
        """Compare nothing, for a method that is dense attention."""
        self._all_changed_at = 0

    def compare(self, prefix: LayerPrefix, new: NewColumns, steps: Sequence[Step], outputs: Sequence[Tensor]) -> None:
        """Note which rows differ in one layer: outputs [B, H, G, D] of the steps of T new tokens.

        What changed is read at once in the first step, where it spares most methods all other layers, and in a pass of
        several tokens. Later steps are launched ahead of the device, which would have to be waited for in each layer.
        """
        if prefix.layer not in self._dense_states:
            self._dense_states[prefix.layer] = self._dense.start(prefix)
        for t, (step, output) in enumerate(zip(steps, outputs, strict=True)):
            if self.is_open(new.done + t):
                dense = self._dense.attend(step, self._dense_states[prefix.layer])
                changed = torch.where(_differs(output, dense), new.columns[t], NEVER)
                torch.minimum(self._changed_at, changed.to(self._changed_at.device), out=self._changed_at)
        if new.done == 0 or len(steps) > 1:
            self.read()

    def read(self) -> None:
        """Read from the device by which step every row had changed; once that is known, nothing waits any more."""
        if self._all_changed_at == NEVER:
            self._all_changed_at = int(self._changed_at.max())

    def changed_at(self) -> list[int]:
        """Return the decode step at which each row first differed, NEVER where it did not."""
        return self._changed_at.tolist()


def _differs(output: Tensor, dense: Tensor) -> Tensor:
    """Return the rows of [B, H, G, D] that differ by more than rounding, [B] bool."""
    relative = max(ROUNDING, 16 * torch.finfo(output.dtype).eps)
    return _largest(output - dense) > relative * _largest(dense)


def _largest(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x, torch.inf, (1, 2, 3))  # type: ignore[no-any-return]
