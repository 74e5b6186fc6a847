"""Holds keys without the rotation of their positions, and rotates what is read back."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.packed.cache import Tokens
from harness.attention.rope import Rope


def unrotated(k: Tensor, rope: Rope) -> Tensor:
    """Return keys by places [B, H, n, D], which are their positions, as they are before rotation; float32 at least."""
    precise = k.to(torch.promote_types(k.dtype, torch.float32))
    return rope.unrotate(precise, torch.arange(k.shape[2], device=k.device))


class Rotated:
    """Holds tokens that are un-rotated on their way in and rotated on their way out, in the dtype of the cache."""

    def __init__(self, tokens: Tokens, rope: Rope, lengths: Tensor, dtype: torch.dtype) -> None:
        self._tokens, self._rope, self._dtype = tokens, rope, dtype
        self._next = lengths[:, None]

    def append(self, x: Tensor) -> None:
        """Add the newest key as the model holds it, [B, H, D]."""
        precise = x.to(torch.promote_types(x.dtype, torch.float32))
        self._tokens.append(self._rope.unrotate(precise, self._next))
        self._next = self._next + 1

    def settle(self) -> None:
        """Encode what is due."""
        self._tokens.settle()

    def read(self) -> Tensor:
        """Read all keys back as the model holds them, [B, H, N, D]."""
        found = self._tokens.read()
        return self._rope.rotate(found, torch.arange(found.shape[2], device=found.device)).to(self._dtype)
