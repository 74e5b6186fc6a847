"""Keeps an index of one row per token that grows by a row in each decode step, without ever being copied."""

from __future__ import annotations

from torch import Tensor


class Grown:
    """Holds rows [B, H, N, r] of the tokens so far, in a `buffer` with room for those of all decode steps to come.

    Rows are kept in the type of the first, whatever later ones come in.
    """

    def __init__(self, rows: Tensor, decode_steps: int) -> None:
        b, h, s, r = rows.shape
        self.buffer = rows.new_zeros(b, h, s + decode_steps, r)
        self.buffer[:, :, :s] = rows
        self.length = s

    def append(self, row: Tensor) -> Tensor:
        """Store the newest token's row [B, H, r] and return the rows of all tokens, [B, H, N, r]."""
        self.buffer[:, :, self.length] = row
        self.length += 1
        return self.rows

    @property
    def rows(self) -> Tensor:
        """Return a view of the rows that are filled, [B, H, N, r]."""
        return self.buffer[:, :, : self.length]
