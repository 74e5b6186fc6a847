"""Encodes chunks of tokens in few bits, but for their least and greatest entries, which are held with their index."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.attention.packed.held import Format, Held
from harness.attention.packed.uniform import Uniform


class Exact(Format):
    """Holds tokens as they are."""

    def encode(self, x: Tensor) -> Held:
        """Return x itself."""
        return (x,)

    def decode(self, held: Held) -> Tensor:
        """Return what is held."""
        return held[0]


@dataclass(frozen=True, eq=False)
class ExtremesByChannel(Format):
    """Encodes each channel of a chunk of C tokens in groups of `size`; its `each` least and greatest are exact.

    What counts of a chunk is `live` [B, C]. `each` and `exact` are numbers of each row: of outliers at either end, and
    of last tokens that stay exact whole, as those do that fill no group. Outliers are encoded as their channel's mean,
    which counts them. Held of a chunk: codes, scales, least numbers, index and values of outliers, last tokens.
    """

    bits: int
    size: int
    live: Tensor
    each: tuple[int, ...]
    exact: tuple[int, ...]

    def encode(self, x: Tensor) -> Held:
        """Return what is held of one chunk [B, H, C, D]."""
        x = x.detach()  # reading back writes over what gradients would need
        live = self.live[:, None, :, None]
        total = x.masked_fill(~live, 0).sum(2, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32))
        mean = (total / live.sum(2, keepdim=True).clamp_min(1)).to(x.dtype)
        at = self._extremes(x)
        filled = torch.where(live, x, mean).scatter(2, at, mean.expand(-1, -1, at.shape[2], -1))
        coded = *self._groups.encode(filled[:, :, : self._whole]), at.int(), x.gather(2, at)
        return *coded, self._last_of(x, coded)

    def decode(self, held: Held) -> Tensor:
        """Read back chunks, [B, H, m C, D]."""
        codes, scale = held[:2]
        out = scale.new_empty(*codes.shape[:2], codes.shape[2] // self._whole * self._chunk, scale.shape[3])
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back chunks into out [B, H, m C, D]."""
        *coded, last = held
        chunks: Tensor = out.unflatten(2, (-1, self._chunk))  # type: ignore[no-untyped-call]
        self._read_coded(tuple(coded), chunks)
        if max(self.exact):
            at = self._last_places[:, None, None, :, None].expand(-1, *chunks.shape[1:3], -1, chunks.shape[4])
            chunks.scatter_(3, at, _by_chunk(last, chunks.shape[2]))

    def _read_coded(self, coded: Held, chunks: Tensor) -> None:
        """Read back all but the last tokens into chunks [B, H, m, C, D]."""
        *groups, at, values = (_by_chunk(x, chunks.shape[2]) for x in coded)
        self._groups.read_into(tuple(groups), chunks[..., : self._whole, :])
        chunks[..., self._whole :, :] = 0
        chunks.scatter_(3, at.long(), values)

    def _extremes(self, x: Tensor) -> Tensor:
        """Return the places of outliers, [B, H, 2 max each, D]; rows that have fewer name one that does not count."""
        live, most = self.live[:, None, :, None], max(self.each)
        least = x.masked_fill(~live, torch.inf).topk(most, 2, largest=False).indices
        greatest = x.masked_fill(~live, -torch.inf).topk(most, 2).indices
        each = torch.tensor(self.each, device=x.device).view(-1, 1, 1, 1)
        beyond = torch.arange(most, device=x.device).repeat(2)[:, None] >= each
        return torch.where(beyond, self._dead.view(-1, 1, 1, 1), torch.cat([least, greatest], 2))

    def _last_of(self, x: Tensor, coded: Held) -> Tensor:
        """Return the last tokens of each row, [B, H, max exact, D]; those that a row has in codes are as read back."""
        found = torch.empty_like(x)
        self._read_coded(coded, found[:, :, None])
        exact = torch.tensor(self.exact, device=x.device)[:, None]
        stays = torch.arange(self._chunk, device=x.device) >= self._end - exact
        places = self._last_places[:, None, :, None].expand(-1, x.shape[1], -1, x.shape[3])
        return torch.where(stays[:, None, :, None], x, found).gather(2, places)

    @property
    def _chunk(self) -> int:
        return self.live.shape[1]

    @property
    def _whole(self) -> int:
        return self._chunk // self.size * self.size

    @property
    def _groups(self) -> Uniform:
        return Uniform(self.bits, self.size, -2)

    @property
    def _dead(self) -> Tensor:
        """Return a place of each row that does not count, [B]; 0 where all do, which have all that others may have."""
        return (~self.live).int().argmax(1)

    @property
    def _end(self) -> Tensor:
        """Return the place behind the last that counts, [B, 1]."""
        place = torch.arange(1, self._chunk + 1, device=self.live.device)
        return (self.live * place).amax(1, keepdim=True)

    @cached_property
    def _last_places(self) -> Tensor:
        """Return the places of the last tokens of each row, as many as some row has exact, [B, max exact]."""
        places = self._end - torch.arange(max(self.exact), 0, -1, device=self.live.device)
        return torch.where(places < 0, self._dead[:, None], places)


@dataclass(frozen=True, eq=False)
class ExtremesByToken(Format):
    """Encodes each token, its KV heads side by side, in groups of `size`; its `each` least and greatest are exact.

    Outliers are encoded as their token's mean, which counts them. Held are codes, scales, least numbers, index and
    values of outliers, with one head in place of `heads`.
    """

    bits: int
    size: int
    each: int
    heads: int

    def encode(self, x: Tensor) -> Held:
        """Return what is held of tokens [B, H, n, D]."""
        rows = x.detach().transpose(1, 2).flatten(2)[:, None]
        at = torch.cat([rows.topk(self.each, 3, largest=largest).indices for largest in (False, True)], 3)
        mean = rows.mean(3, keepdim=True, dtype=torch.promote_types(x.dtype, torch.float32)).to(x.dtype)
        filled = rows.scatter(3, at, mean.expand_as(at))
        return *self._groups.encode(filled), at.int(), rows.gather(3, at)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D]."""
        b, _, n, groups = held[1].shape
        out = held[1].new_empty(b, self.heads, n, groups * self.size // self.heads)
        self.read_into(held, out)
        return out

    def read_into(self, held: Held, out: Tensor) -> None:
        """Read back into out [B, H, n, D]."""
        *groups, at, values = held
        tokens = out.new_empty(out.shape[0], *out.shape[2:0:-1], out.shape[3])
        rows = tokens.flatten(2)[:, None]
        self._groups.read_into(tuple(groups), rows)
        rows.scatter_(3, at.long(), values)
        out.copy_(tokens.transpose(1, 2))

    @property
    def _groups(self) -> Uniform:
        return Uniform(self.bits, self.size)


def _by_chunk(x: Tensor, chunks: int) -> Tensor:
    """Return what is held of some chunks, [B, H, m n, W], as [B, H, m, n, W]."""
    return x.unflatten(2, (chunks, -1))  # type: ignore[no-untyped-call,no-any-return]
