"""Holds K or V of a layer: packed codes of the prompt, packed codes of later tokens, and the newest tokens exactly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.attention.packed.held import Format, Growing, Packed
from harness.attention.packed.places import put_at
from harness.attention.step import LayerPrefix


class PackedTokens:
    """Holds tokens by places: `settled` of each row in codes, the others up to `live` exactly, in a ring.

    `prompt` holds the first counts [B] tokens of each row (and what is behind them for nobody), and may belong to
    several cells. When `tail` tokens are exact, `settle` encodes the `chunk` oldest of them in `form`. The ring has
    room for one more, so that a step which encodes some overwrites none and may be repeated.
    """

    def __init__(
        self, prefix: LayerPrefix, x: Tensor, prompt: Packed | None, counts: Sequence[int], form: Format,
        tail: int, chunk: int = 1,
    ) -> None:  # fmt: skip
        self.prompt = prompt
        self.live: list[int] = prefix.lengths.tolist()
        self.settled = list(counts)
        self._base = list(counts)
        self.form, self.tail, self.chunk = form, tail, chunk
        most = max(n - count for n, count in zip(self.live, counts, strict=True))
        self._own = Growing(form, prefix.decode_steps + most, counts)
        self._ring = x.new_zeros(*x.shape[:2], tail + 1, x.shape[3])
        self._fill(x)

    def append(self, x: Tensor) -> None:
        """Add the newest token [B, H, D] exactly; fewer than `tail` may be exact, so settle first."""
        for row, count in enumerate(self.live):
            self._ring[row, :, count % self._ring.shape[2]] = x[row]
        self.live = [count + 1 for count in self.live]

    def settle(self) -> None:
        """Encode the oldest exact tokens in the rows that have `tail` of them."""
        due = [row for row, count in enumerate(self.live) if count - self.settled[row] >= self.tail]
        if not due:
            return
        slots = (self._tensor(self.settled) + torch.arange(self.chunk, device=self._ring.device)) % self._ring.shape[2]
        piece = self._ring.gather(2, slots[:, None, :, None].expand(-1, self._ring.shape[1], -1, self._ring.shape[3]))
        self._own.put(due, [self.settled[row] - self._base[row] for row in due], piece)
        for row in due:
            self.settled[row] += self.chunk

    def read(self) -> Tensor:
        """Read all tokens back by places, [B, H, N, D], N the most live tokens of a row; zero behind the others'."""
        n = max(self.live)
        b, h, _, d = self._ring.shape
        out = self._ring.new_empty(b, h, n + 1, d)
        if self.prompt is not None:
            self.prompt.read_into(out[:, :, : self.prompt.tokens])
        own = [settled - base for settled, base in zip(self.settled, self._base, strict=True)]
        if any(own):
            token = torch.arange(max(own), device=out.device)
            places = (token + self._tensor(self._base)).masked_fill(token >= self._tensor(own), n)
            put_at(out, places, self._own.read(max(own)))
        put_at(out, self._exact_places().masked_fill_(self._vacant(), n), self._ring)
        for row, count in enumerate(self.live):
            out[row, :, count:] = 0
        return out[:, :, :n]

    def _fill(self, x: Tensor) -> None:
        """Take the exact tokens from those of the prompt by places, [B, H, S, D]."""
        places = self._exact_places().clamp_max_(x.shape[2] - 1)
        index = places[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])
        self._ring.copy_(x.gather(2, index))

    def _exact_places(self) -> Tensor:
        """Return the place of each entry of the ring, [B, tail + 1]: place p lies at p modulo that."""
        size, settled = self._ring.shape[2], self._tensor(self.settled)
        return settled + (torch.arange(size, device=self._ring.device) - settled) % size

    def _vacant(self) -> Tensor:
        """Return which entries of the ring hold no exact token, [B, tail + 1]."""
        return self._exact_places() >= self._tensor(self.live)

    def _tensor(self, of_rows: Sequence[int]) -> Tensor:
        return torch.tensor(of_rows, device=self._ring.device)[:, None]
