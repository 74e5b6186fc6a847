"""Defines what tokens become when they are held in fewer bits, and holds those of a prompt and those that follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, Self

from torch import Tensor

Held = tuple[Tensor, ...]
"""Codes, scales and whatever else is stored; axis 2 of each counts tokens, or groups of consecutive ones."""


class Format(Protocol):
    """Encodes tokens and reads them back; what is the same for all of them (ranges, centres) is its own.

    Formats derive from it; `read_into` is for those that can spare a temporary.
    """

    def encode(self, x: Tensor) -> Held:
        """Return what is held of x [B, H, n, D]; n is a multiple of a group of tokens, if there are groups."""
        ...

    def decode(self, held: Held) -> Tensor:
        """Read all tokens back, [B, H, n, D] in the dtype of the cache or a wider one, which is then rounded to it."""
        ...

    def encode_from(self, x: Tensor, places: Sequence[int]) -> Held:
        """Return what is held of x, whose rows begin at places [B]: for those that depend on them."""
        return self.encode(x)

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read all tokens back into out [B, H, n, D], a slice of what a step sees."""
        out.copy_(self.decode(held))


@dataclass(frozen=True)
class Packed:
    """Holds tokens as their format encoded them."""

    form: Format
    held: Held
    tokens: int

    @classmethod
    def of(cls, form: Format, x: Tensor) -> Self:
        """Encode x [B, H, n, D]."""
        return cls(form, form.encode(x), x.shape[2])

    def read(self) -> Tensor:
        """Read the tokens back, [B, H, n, D]."""
        return self.form.decode(self.held)

    def read_into(self, out: Tensor) -> None:
        """Read all tokens back into out [B, H, n, D]."""
        self.form.read_into(self.held, out)


class Growing:
    """Holds tokens that come in pieces, by row, in buffers for `tokens` of them that the first piece allocates.

    Token 0 of a row has the place `base` [B] there; 0 if that is left out.
    """

    def __init__(self, form: Format, tokens: int, base: Sequence[int] = ()) -> None:
        self._form = form
        self._base = base
        self._room = tokens
        self._held: Held = ()

    def put(self, rows: Sequence[int], first: Sequence[int], x: Tensor) -> None:
        """Encode x [B, H, n, D], and store it of some `rows` from their token number `first`, a multiple of n, on."""
        places, n = [*self._base] or [0] * len(x), x.shape[2]
        for row, token in zip(rows, first, strict=True):
            places[row] += token
        pieces = self._form.encode_from(x, places)
        if not self._held:
            self._room += -self._room % n
            self._held = tuple(
                piece.new_zeros(*piece.shape[:2], self._room // n * piece.shape[2], *piece.shape[3:])
                for piece in pieces
            )
        for buffer, piece in zip(self._held, pieces, strict=True):
            each = piece.shape[2]
            for row, token in zip(rows, first, strict=True):
                start = token // n * each
                buffer[row, :, start : start + each] = piece[row]

    def read(self, count: int) -> Tensor:
        """Read back the first `count` tokens of all rows, [B, H, count, D]; at least one piece was put."""
        cut = (buffer[:, :, : count * buffer.shape[2] // self._room] for buffer in self._held)
        return self._form.decode(tuple(cut))
