"""The running mean of V that some methods give the attention they did not compute."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.step import LayerPrefix, Step


class MeanValue:
    """Keeps the mean of all live V as a running sum, so that a step reads one row of V, not N.

    Held in at least float32 (SparQ paper, section 4.2). A token that a sliding window drops is taken out again.
    """

    def __init__(self, prefix: LayerPrefix) -> None:
        self._mask = prefix.mask
        live_v = prefix.v.masked_fill(~prefix.mask[..., None], 0)
        self.total = live_v.sum(2, dtype=torch.promote_types(live_v.dtype, torch.float32))

    def add(self, newest: Tensor) -> None:
        """Add the newest token's V [B, H, D] where the sum lies, which a CUDA graph can repeat."""
        self.total += newest

    def update(self, step: Step) -> Tensor:
        """Add the step's newest token and return the mean, [B, H, D]."""
        self.total = self.total + step.newest_v
        if step.sliding:
            departed = self._mask & ~step.mask[..., :-1]
            self.total = self.total - (step.v[:, :, :-1] * departed[..., None]).sum(2, dtype=self.total.dtype)
        self._mask = step.mask
        return self.total / step.mask.sum(-1, keepdim=True)
