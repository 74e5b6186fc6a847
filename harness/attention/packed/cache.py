"""Makes the step that a method attends to from K and V as they are read back."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor

from harness.attention.packed.places import mask_by_place
from harness.attention.selection import gather_tokens
from harness.attention.step import LayerPrefix, Step


class Tokens(Protocol):
    """Holds K or V of a layer by places."""

    def append(self, x: Tensor) -> None:
        """Add the newest token, [B, H, D]."""
        ...

    def settle(self) -> None:
        """Encode what is due."""
        ...

    def read(self) -> Tensor:
        """Read all tokens back, [B, H, N, D], finite behind a row's last."""
        ...


class PackedCache:
    """Holds K and V of one layer; what a step reads of them is a temporary that nobody keeps."""

    def __init__(self, prefix: LayerPrefix, k: Tokens, v: Tokens) -> None:
        self.k, self.v = k, v
        self.first: list[int] = prefix.first.tolist()

    def append(self, step: Step) -> None:
        """Add the step's newest token."""
        self.k.append(step.k[:, :, -1])
        self.v.append(step.v[:, :, -1])

    def settle(self) -> None:
        """Encode what is due, before `append` where the newest token is exact in its own step, else after it."""
        self.k.settle()
        self.v.settle()

    def in_columns(self, k: Tensor, v: Tensor, n: int) -> tuple[Tensor, Tensor]:
        """Return K and V, that are by places, by the n columns in which rows end together; zero at padding."""
        if not any(self.first):
            return k, v
        place = torch.arange(n, device=k.device) - torch.tensor(self.first, device=k.device)[:, None]
        padding = (place < 0)[:, None, :, None]
        index = place.clamp_min(0)[:, None].expand(-1, k.shape[1], -1)
        moved = (gather_tokens(x, index).masked_fill_(padding, 0) for x in (k, v))
        return next(moved), next(moved)

    def seen_by(self, step: Step) -> Step:
        """Return the step with K, V and mask by places, as K and V are read back; its newest tokens do not align."""
        return replace(step, k=self.k.read(), v=self.v.read(), mask=mask_by_place(step.mask, self.first))
