"""Chooses the k best tokens by stored scores, whatever k and however many tokens: no program holds more than a tile."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from harness.kernels.choice.tiles import DIGITS, PHASES, is_whole, neighbours, picks, radix
from harness.kernels.shared.device import can_wait, overlap, processors
from harness.kernels.shared.tiles import power


class Ends(Protocol):
    """Says what a row may choose among: entries padding[b] .. kv_lengths[b] - 1, [B] int32 each, as a KVCache does."""

    @property
    def padding(self) -> Tensor:
        """Return the first entry of each row."""
        ...

    @property
    def kv_lengths(self) -> Tensor:
        """Return the end of each row's entries."""
        ...


@dataclass(frozen=True)
class TokenScores:
    """Holds every token's score [B, H, N] float32, for kernels to write, and what a choice among them reads.

    Tokens older than the newest `window` may be chosen. largest [B, H, groups] float32 is the largest score of those
    among each `of` neighbours; a group without any is not read.
    """

    score: Tensor
    largest: Tensor
    of: int
    window: int

    @classmethod
    def empty(cls, q: Tensor, longest: int, window: int = 0) -> TokenScores:
        """Allocate the scores of `longest` tokens for a query [B, H, G, D]."""
        of = neighbours(longest)
        score = torch.empty(*q.shape[:2], longest, dtype=torch.float32, device=q.device)
        return cls(score, score.new_empty(*q.shape[:2], -(-longest // of)), of, window)

    @property
    def columns(self) -> int:
        """Return N."""
        return self.score.shape[2]

    @property
    def groups(self) -> int:
        """Count the groups of neighbours per KV head."""
        return self.largest.shape[2]

    def best(self, ends: Ends, k: int) -> Tensor:
        """Return the columns [B, H, k] int32 of the k best tokens, oldest first; of equal scores the newest win.

        Where fewer may be chosen, these fill the first entries and the rest is not written.
        """
        search = _Search(self, ends, k)
        picked = picks(k, self.columns)
        if picked:
            search.pick(picked)
        elif is_whole(self.columns):
            search.whole()
        else:
            search.by_digits()
        return search.index


@dataclass(frozen=True)
class _Search:
    """Searches scores for the k best, in one of three ways."""

    scores: TokenScores
    ends: Ends
    k: int

    @cached_property
    def index(self) -> Tensor:
        """Allocate the answer."""
        b, h = self.scores.score.shape[:2]
        return torch.empty(b, h, self.k, dtype=torch.int32, device=self.scores.score.device)

    def pick(self, picked: int) -> None:
        """Choose `picked` groups of neighbours at most, then the k best tokens of these: one launch, for a small k."""
        from harness.kernels.choice.triton.pick import pick_kernel  # needs Triton

        s, pad = self.scores, power(self.scores.groups, 1024)
        listed = self.index.new_empty(self._heads, picked)
        pick_kernel[(self._heads,)](
            s.score, s.largest, *self._rows, listed, self.index, self._per_row, s.columns, s.groups, s.window, self.k,
            pad=pad, picked=picked, of=s.of, num_warps=4 if pad == 1024 else 8, **self._overlap,
        )  # fmt: skip

    def whole(self) -> None:
        """Choose among all tokens in one program: one launch, for prompts that its registers hold."""
        from harness.kernels.choice.triton.whole import whole_kernel  # needs Triton

        s, pad = self.scores, power(self.scores.columns, 1024)
        whole_kernel[(self._heads,)](
            s.score, *self._rows, self.index, self._per_row, s.columns, s.window, self.k,
            pad=pad, num_warps=max(4, pad // 1024), **self._overlap,
        )  # fmt: skip

    def by_digits(self) -> None:
        """Find the k-th score digit by digit, then list what reaches it, for any k and length.

        This is one launch where all its programs run at once, and else one for each of six phases.
        """
        from harness.kernels.choice.triton.radix import search_kernel  # needs Triton

        device = self.scores.score.device
        s, tiles = self.scores, radix(self.scores.columns, self._heads, processors(device))
        found = _Digits.empty(s.score, self._heads, tiles.parts)
        phases = [(0, PHASES)] if tiles.at_once and can_wait(device) else [(n, n + 1) for n in range(PHASES)]
        for first, last in phases:
            search_kernel[(self._heads * tiles.parts,)](
                s.score, *self._rows, self._per_row, tiles.parts, s.columns, tiles.per_part, s.window, self.k,
                found.tally, found.bound, found.counts, found.arrived, self.index, first, last,
                pad=power(tiles.parts), block=tiles.block, num_warps=tiles.warps, **self._overlap,
            )  # fmt: skip

    @property
    def _rows(self) -> tuple[Tensor, Tensor]:
        return self.ends.padding, self.ends.kv_lengths

    @property
    def _per_row(self) -> int:
        return self.scores.score.shape[1]

    @property
    def _heads(self) -> int:
        return self.scores.score.shape[0] * self._per_row

    @property
    def _overlap(self) -> dict[str, bool]:
        return overlap(self.scores.score.device)


@dataclass(frozen=True)
class _Digits:
    """Holds what the phases of a search by digits leave to the next, all int32.

    tally [digits, B * H, 256] says how often each value of each digit occurs; bound [digits + 1, B * H, 2] the first
    digits of the k-th score, and how many of the scores that begin with them are to be chosen; counts [B * H, parts, 2]
    how many scores are above it and equal to it; arrived [B * H] how often programs have met.
    """

    tally: Tensor
    bound: Tensor
    counts: Tensor
    arrived: Tensor

    @classmethod
    def empty(cls, like: Tensor, heads: int, parts: int) -> _Digits:
        """Allocate all, what is counted up from zero by one launch."""
        zero = torch.zeros(DIGITS * heads * 256 + heads, dtype=torch.int32, device=like.device)
        tally, arrived = zero[:-heads].view(DIGITS, heads, 256), zero[-heads:]
        return cls(tally, zero.new_empty(DIGITS + 1, heads, 2), zero.new_empty(heads, parts, 2), arrived)
