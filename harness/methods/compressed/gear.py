"""Stores K and V in few bits, outliers exactly, and thin factors of what rounding has lost, chunk by chunk: GEAR."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to_all
from harness.attention.packed import Format, Packed, PackedCache, PackedTokens, aligned
from harness.attention.packed.extremes import Exact, ExtremesByChannel, ExtremesByToken
from harness.attention.packed.low_rank import Factors, WithLowRank
from harness.attention.packed.places import mask_by_place
from harness.attention.quantised import quantised_bits
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.bits import most_bits_and_outliers
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Fraction, Size
from harness.methods.ratio import Budget

__all__ = ["GEAR"]

OUTLIERS = 0.02
"""Share of entries that are exact unless a knob says another."""
OUTLIER = 2 * ELEMENT
"""Bits of an outlier: its value and its index."""


@dataclass(frozen=True)
class GEAR(Method[PackedCache]):
    """Quantises whole chunks, `outlier_fraction` of them exact, and adds a low-rank part of what that has lost.

    The prompt is one chunk, up to a multiple of `buffer` tokens; each `buffer` tokens behind it are one more, once they
    are full: until then they are exact. Groups are `group_size` tokens of a key's channel, as many numbers of a token's
    values over all KV heads; 0 makes one group of all. A channel's key outliers are a share of the chunk ("paper"), or
    as many whatever its length is ("released"). `iterations` of null decompose exactly, a rank of 0 adds nothing.
    """

    about: ClassVar[About] = About(
        title="GEAR",
        access="all",
        note="the paper's schedule: the released simulation leaves most of the prompt exact",
        paper=Paper(
            title="GEAR: An Efficient KV Cache Compression Recipe for Near-Lossless Generative Inference of LLM",
            authors="Hao Kang, Qingru Zhang, Souvik Kundu, Geonhwa Jeong, Zaoxing Liu, Tushar Krishna, Tuo Zhao",
            venue="ENLSP workshop at NeurIPS",
            year=2024,
            arxiv="2403.05527",
        ),
    )
    owns_cache: ClassVar[bool] = True
    excused: ClassVar[dict[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "the prompt is one chunk, what follows others",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "what has left sight is in a full buffer's chunk too",
    }

    bits: Literal[2, 4]
    group_size: Count = 64
    outlier_fraction: Fraction = OUTLIERS
    rank_prefill: Count = 4
    rank: Count = 2
    buffer: Size = 64
    iterations: Size | None = 3
    key_outliers: Literal["paper", "released"] = "paper"
    seed: Count = 0

    def start(self, prefix: LayerPrefix) -> PackedCache:
        """Compress what the dense prefill has left behind; of a window's layer, what is still in sight."""
        counts = [n - n % self.buffer for n in prefix.lengths.tolist()]
        column = torch.arange(max(counts), device=prefix.k.device)
        live = mask_by_place(prefix.visible, prefix.first.tolist())[:, 0, : max(counts)]
        live = live & (column < torch.tensor(counts, device=live.device)[:, None])
        whole = live.new_ones(len(counts), self.buffer)
        held = []
        for of, x in enumerate((aligned(prefix.k, prefix), aligned(prefix.v, prefix))):
            form = self._form(of, x, whole, self.rank, prefix.layer)
            held.append(PackedTokens(prefix, x, self._prompt(of, x, live, prefix), counts, form, *[self.buffer] * 2))
        return PackedCache(prefix, *held)

    def attend(self, step: Step, state: PackedCache) -> Tensor:
        """Compress the buffer if the last step has filled it, then attend to all, the newest token exactly."""
        state.settle()
        state.append(step)
        return attend_to_all(state.seen_by(step))

    def cost(self, at: LayerAt) -> Cost:
        """Count codes, scales, least numbers, outliers, factors and the exact buffer; chunks are written on average.

        In a layer with a window the tokens in sight are counted as if they were all there are.
        """
        self._check_groups(at.kv_heads * at.head_dim)
        written = self._of_chunk(at, self.buffer, self.rank) / self.buffer if at.n >= self.buffer else 0
        return Cost(attend=self._bits(at, at.n - 1), write=at.newest + written, held=self._bits(at, at.n))

    def state_elements(self, at: LayerAt) -> float:
        """Count what is held beside the shared cache: an index takes 32 bits, the buffer has room for all tokens."""
        outliers = self.outlier_fraction * 2 * at.n * at.head_dim
        return self._bits(at, at.n) / ELEMENT + outliers + 2 * (self.buffer + 1) * at.head_dim

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Take as many bits as fit, and fewer outliers where even 2 are too many. Raises InputError if those are."""
        given = {knob: value for knob, value in fixed.items() if value is not None or knob == "iterations"}
        return most_bits_and_outliers(cls, (2, 4), OUTLIERS, budget, **given)

    def _prompt(self, of: int, x: Tensor, live: Tensor, prefix: LayerPrefix) -> Packed | None:
        """Compress the prompt's keys or values by places, [B, H, S, D], for all cells that compress them alike."""
        knobs = self.bits, self.group_size, self.outlier_fraction, self.key_outliers, self.buffer
        key = type(self), of, knobs, self.rank_prefill, self.iterations, self.seed
        n = live.shape[1]

        def compressed() -> Packed:
            return Packed.of(self._form(of, x, live, self.rank_prefill, prefix.layer), x[:, :, :n])

        return prefix.once(key, compressed) if n else None

    def _form(self, of: int, x: Tensor, live: Tensor, rank: int, layer: int) -> Format:
        """Make the format of a chunk, of which `live` [B, C] counts, of keys (0) or values (1) like x [B, H, S, D]."""
        h, d = x.shape[1], x.shape[3]
        self._check_groups(h * d)
        values = ExtremesByToken(self.bits, self.group_size or h * d, self._each(h * d), h)
        form = values if of else self._form_of_keys(live, h * d)
        if isinstance(form, Exact) or not rank:
            return form
        return WithLowRank(form, Factors(rank, self.iterations, self.seed, layer, of), live)

    def _form_of_keys(self, live: Tensor, width: int) -> Format:
        """Make the format of keys: exact where a row has no more tokens than outliers, or no group of them."""
        counts, ends = live.sum(1).tolist(), (live * torch.arange(1, live.shape[1] + 1, device=live.device)).amax(1)
        each = [self._each_of_keys(count, width) for count in counts]
        whole = [2 * few >= count for few, count in zip(each, counts, strict=True)]
        alone = [int(end) % self.group_size if self.group_size else 0 for end in ends]
        exact = tuple(count if all_ else last for count, all_, last in zip(counts, whole, alone, strict=True))
        if all(last >= count for last, count in zip(exact, counts, strict=True)):
            return Exact()
        few = tuple(0 if all_ else outliers for outliers, all_ in zip(each, whole, strict=True))
        return ExtremesByChannel(self.bits, self.group_size or live.shape[1], live, few, exact)

    def _each(self, width: int) -> int:
        """Count the outliers at either end of a token's values over all KV heads."""
        return math.floor(self.outlier_fraction * width / 2)

    def _each_of_keys(self, tokens: int, width: int) -> int:
        """Count the outliers at either end of a channel in a chunk of so many tokens."""
        return self._each(tokens if self.key_outliers == "paper" else width)

    def _check_groups(self, width: int) -> None:
        if self.group_size and width % self.group_size:
            wanted = f"a group_size that divides {width}, the numbers of a token's values, or 0"
            raise InputError(f"GEAR needs {wanted}, not {self.group_size}")

    def _bits(self, at: LayerAt, settled: int) -> float:
        """Count the bits of all K and V when so many tokens have been through the schedule."""
        coded = settled // self.buffer * self.buffer
        first = min(coded, at.prompt // self.buffer * self.buffer)
        later = (coded - first) // self.buffer * self._of_chunk(at, self.buffer, self.rank)
        return self._of_chunk(at, first, self.rank_prefill) + later + at.tokens(at.n - coded)

    def _of_chunk(self, at: LayerAt, tokens: int, rank: int) -> float:
        """Count the bits of a chunk of K and V."""
        d, width = at.head_dim, at.head_dim * at.kv_heads
        factors = at.elements(min(rank, tokens, d) * (tokens + d))
        values = quantised_bits(tokens * d, self.bits, self.group_size or width) + factors
        values += 2 * self._each(width) * tokens / at.kv_heads * OUTLIER
        each, size = self._each_of_keys(tokens, width), self.group_size or max(1, tokens)
        whole = tokens // size * size
        if not whole or 2 * each >= tokens:
            return values + at.keys(tokens)
        keys = quantised_bits(whole * d, self.bits, size) + at.keys(tokens - whole)
        return values + keys + 2 * each * d * OUTLIER + factors
