"""Stores salient tokens in more bits than others, by what some of the prompt's queries give them: ZipCache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, are_best, softmax
from harness.attention.packed import MixedCache
from harness.attention.statistics import ReceivedFromProbes, Statistic
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Fraction, Share, Size
from harness.methods.ratio import Budget, largest_share, without_null

__all__ = ["ZipCache"]

Bits = Literal[8, 4, 2]


@dataclass(frozen=True)
class ZipCache(Method[MixedCache]):
    """Quantises the least salient `low_ratio` of the prompt's tokens to `bits_low`, the others to `bits_high`.

    Saliency is the attention from a share `probe` of the prompt's queries, half of them the last and half drawn, over
    the number of queries that come behind a token. New tokens stay exact until there are `gap` of them; then all are
    quantised anew, the new ones by the attention of that step's query.
    """

    about: ClassVar[About] = About(
        title="ZipCache",
        access="all",
        note="the saliency of the released code, which divides by all queries behind a token and not by the probes "
        "among them",
        paper=Paper(
            title="ZipCache: Accurate and Efficient KV Cache Quantization with Salient Token Identification",
            authors="Yefei He, Luoming Zhang, Weijia Wu, Jing Liu, Hong Zhou, Bohan Zhuang",
            venue="NeurIPS",
            year=2024,
            arxiv="2405.14256",
        ),
    )
    owns_cache: ClassVar[bool] = True
    excused: ClassVar[dict[str, str]] = {
        "a_full_budget_is_dense_attention": "the prompt is in codes whatever the knobs are",
        "a_full_budget_honours_the_soft_cap": "the prompt is in codes whatever the knobs are",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "queries of the prompt saw them, and rank the others",
    }

    low_ratio: Fraction
    bits_high: Bits | None = None
    bits_low: Bits | None = None
    gap: Size = 100
    probe: Share = 0.1
    seed: Count = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        high, low = self._bits
        if low > high:
            raise InputError(f"ZipCache needs bits_low of at most bits_high={high}, not {low}")

    @property
    def resolved(self) -> Self:
        """Return the method with bits as numbers."""
        high, low = self._bits
        return replace(self, bits_high=high, bits_low=low)

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the attention that the probes give."""
        return frozenset({ReceivedFromProbes(self.probe, self.seed)})

    def start(self, prefix: LayerPrefix) -> MixedCache:
        """Rank the prompt's tokens and quantise them."""
        (statistic,) = self.observes
        behind = prefix.mask.flip(-1).cumsum(-1).flip(-1).clamp_min(1)  # queries that could see a token
        saliency = prefix.statistics[statistic] / behind
        salient = self._salient(saliency, prefix.visible)
        return MixedCache(prefix, salient, self._bits, self.gap)

    def attend(self, step: Step, state: MixedCache) -> Tensor:
        """Attend to all as they are read back, the newest exactly; then quantise all again if there are `gap`."""
        state.append(step)
        k, v = state.read()
        weights = softmax(step.scores(step.q, k.to(step.k.dtype)), state.seen(step.mask)[:, :, None])
        if state.exact == self.gap:
            newest = self._salient(weights.sum(2)[..., -self.gap :], step.mask[..., -self.gap :])
            salient = torch.cat([state.salient, newest], -1)
            state.encode(state.by_column(k), state.by_column(v), step.mask, salient)
        return weights.to(step.v.dtype) @ v.to(step.v.dtype)

    def cost(self, at: LayerAt) -> Cost:
        """Count codes, which set each token is in, scales and least numbers, and tokens since the prompt as exact.

        All codes are written anew every `gap` steps.
        """
        codes = self._codes(at)
        cached = codes + at.tokens(at.n - at.prompt)
        return Cost(attend=cached, write=at.newest + codes / self.gap, held=cached)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Take the most bits that can reach the ratio, 8 and 4 or 4 and 2, then the smallest low_ratio."""
        given = without_null(fixed)
        if {"bits_high", "bits_low"} & given.keys():
            return cls._least_low(budget, given)
        try:
            return cls._least_low(budget, {**given, "bits_high": 8, "bits_low": 4})
        except InputError:
            return cls._least_low(budget, {**given, "bits_high": 4, "bits_low": 2})

    @property
    def _bits(self) -> tuple[Bits, Bits]:
        """Return bits_high and bits_low, which are 4 and 2 where they are null."""
        return self.bits_high or 4, self.bits_low or 2

    @classmethod
    def _least_low(cls, budget: Budget, given: dict[str, Any]) -> Self:
        if "low_ratio" in given:
            return cls(**given)

        return largest_share(lambda salient, **knobs: cls(1 - salient, **knobs), "salient", budget, **given)

    def _salient(self, saliency: Tensor, live: Tensor) -> Tensor:
        """Return all of `live` [B, 1, N] but the int(low_ratio P) of P tokens with the least saliency [B, H, N].

        Of equal ones the older is less salient.
        """
        low = (live.sum(-1) * self.low_ratio).long()
        return are_best(saliency.masked_fill(~live, -torch.inf), live.sum(-1) - low) & live

    def _codes(self, at: LayerAt) -> float:
        """Count the bits of the prompt in codes."""
        low = int(self.low_ratio * at.prompt)
        high_bits, low_bits = self._bits
        codes = low_bits * low + high_bits * (at.prompt - low)
        of_keys, of_values = 2 * 2 * at.head_dim, 2 * at.prompt / at.kv_heads + at.head_dim
        return 2 * at.head_dim * codes + at.prompt + (of_keys + of_values) * ELEMENT
