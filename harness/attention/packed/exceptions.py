"""Holds some entries of packed tokens exactly, each with its index."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention.packed.held import Format, Packed
from harness.attention.packed.tokens import PackedTokens
from harness.attention.step import LayerPrefix


class Judging(Format, Protocol):
    """Encodes tokens, and says which entries it would not do well."""

    def outside(self, x: Tensor) -> Tensor:
        """Return which entries of x [B, H, n, D] are to be held exactly."""
        ...


@dataclass(frozen=True, eq=False)
class Exceptions:
    """Holds values [E] of entries by index [E], which counts along tokens' places, rows, KV heads and channels."""

    index: Tensor
    values: Tensor

    @classmethod
    def of(cls, x: Tensor, chosen: Tensor, places: Tensor, dtype: torch.dtype) -> Self:
        """Take the chosen entries of x [B, H, n, D], whose tokens have the places [B, n]."""
        b, h, _, d = x.shape
        row, head, token, channel = chosen.nonzero(as_tuple=True)
        index = ((places[row, token] * b + row) * h + head) * d + channel
        return cls(index, x[chosen].to(dtype))

    def and_also(self, others: Exceptions) -> Exceptions:
        """Return these and others."""
        return Exceptions(torch.cat((self.index, others.index)), torch.cat((self.values, others.values)))

    def write_to(self, x: Tensor) -> None:
        """Put the values where they belong in x [B, H, N, D]."""
        b, h, _, d = x.shape
        heads = self.index // d
        at = heads % (b * h), heads // (b * h), self.index % d
        x.flatten(0, 1).index_put_(at, self.values.to(x.dtype))


@dataclass(frozen=True, eq=False)
class Judged:
    """Holds a prompt in codes, what is exact of it, and how many entries the format left outside by token, [B, n]."""

    codes: Packed
    exact: Exceptions
    counts: Tensor
    form: Judging
    blank: Tensor
    """A token [B, H, 1, D] of zeros, of the dtype in which tokens are read back."""

    @classmethod
    def of(cls, form: Judging, x: Tensor, lengths: Tensor, first: int, dtype: torch.dtype) -> Self:
        """Encode x [B, H, n, D] by places, of rows of so many tokens; all of the `first` ones is exact, in a dtype."""
        places = torch.arange(x.shape[2], device=x.device).expand(len(x), -1)
        exact, counts = _chosen(form, x, places, places < lengths[:, None], first, dtype)
        return cls(Packed.of(form, x), exact, counts, form, torch.zeros_like(x[:, :, :1]))


def _chosen(
    form: Judging, x: Tensor, places: Tensor, live: Tensor, first: int, dtype: torch.dtype
) -> tuple[Exceptions, Tensor]:
    """Return the exact entries of x [B, H, n, D] at places [B, n], and how many of each token are outside."""
    initial = live & (places < first)
    outside = form.outside(x) & (live & ~initial)[:, None, :, None]
    return Exceptions.of(x, outside | initial[:, None, :, None], places, dtype), outside.sum((1, 3))


class JudgedTokens:
    """Holds tokens in codes, from the moment that they come, with what their format leaves outside held exactly."""

    def __init__(self, prefix: LayerPrefix, prompt: Judged, first: int) -> None:
        lengths = prefix.lengths
        self._tokens = PackedTokens(prefix, prompt.blank, prompt.codes, lengths.tolist(), prompt.form, tail=1)
        self._prompt, self._first = prompt, first
        self._later: Exceptions | None = None
        self._places = lengths[:, None]
        self._counts = pad(prompt.counts, (0, prefix.decode_steps))

    @property
    def counts(self) -> Tensor:
        """Return how many entries are outside by tokens' places, those of the first tokens apart, [B, N]."""
        return self._counts[:, : max(self._tokens.live)]

    @property
    def newest(self) -> Tensor:
        """Return how many entries of the newest token are outside, [B]."""
        return self._counts.gather(1, self._places - 1)[:, 0]

    def append(self, x: Tensor) -> None:
        """Encode the newest token [B, H, D]."""
        self._tokens.append(x)
        self._tokens.settle()
        live, dtype = torch.ones_like(self._places, dtype=torch.bool), self._prompt.exact.values.dtype
        more, counts = _chosen(self._prompt.form, x[:, :, None], self._places, live, self._first, dtype)
        self._later = more if self._later is None else self._later.and_also(more)
        self._counts.scatter_(1, self._places, counts)
        self._places = self._places + 1

    def settle(self) -> None:
        """Do nothing: all is in codes."""

    def read(self) -> Tensor:
        """Read all tokens back, [B, H, N, D]."""
        found = self._tokens.read()
        self._prompt.exact.write_to(found)
        if self._later is not None:
            self._later.write_to(found)
        return found
