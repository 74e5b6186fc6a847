"""Stores K before rotation by channel and V by token, in few bits of a fitted codebook, outliers exactly: KVQuant."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_to_all
from harness.attention.codebooks import even, fitted_to_tokens, normal_float
from harness.attention.packed import PackedCache, aligned, room
from harness.attention.packed.codebook import ByChannel, ByToken, ends_of_tokens, normalised
from harness.attention.packed.exceptions import Judged, JudgedTokens
from harness.attention.packed.places import mask_by_place
from harness.attention.packed.rotated import Rotated, unrotated
from harness.attention.quantiles import ends
from harness.attention.unrotated import rope_of
from harness.methods.about import About, Paper
from harness.methods.bits import most_bits_and_outliers
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Fraction
from harness.methods.ratio import Budget, without_null

__all__ = ["KVQuant"]

OUTLIERS = 0.01
"""Share of entries that are exact unless a knob says another."""
OUTLIER = 2 * ELEMENT
"""Bits of an outlier: its value and its index."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """Holds what is learnt of a layer: ranges of channels [B, H, 1, D] before rotation, centres [B, 2^bits]."""

    lower: Tensor
    upper: Tensor
    k_centres: Tensor
    v_centres: Tensor


@dataclass
class State:
    """Holds K and V of a layer, the cache of both that a step sees, and a meter."""

    tokens: tuple[JudgedTokens, JudgedTokens]
    cache: PackedCache
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class KVQuant(Method[State]):
    """Rounds every token, the newest included, to 2^bits values between quantiles; `outlier_fraction` stays exact.

    Ranges and codebooks are those of the prompt in each layer; the codebook is fitted ("nuq"), that of a normal
    distribution ("nf") or even ("int"). Without outliers, what is beyond a range takes its outermost value.
    """

    about: ClassVar[About] = About(
        title="KVQuant (prompt-calibrated)",
        access="all",
        note="ranges and codebooks are learnt from the prompt, not offline with Fisher weights as published; Q-Norm is "
        "left out",
        paper=Paper(
            title="KVQuant: Towards 10 Million Context Length LLM Inference with KV Cache Quantization",
            authors="Coleman Hooper, Sehoon Kim, Hiva Mohammadzadeh, Michael W. Mahoney, Yakun Sophia Shao, "
            "Kurt Keutzer, Amir Gholami",
            venue="NeurIPS",
            year=2024,
            arxiv="2401.18079",
        ),
    )
    owns_cache: ClassVar[bool] = True
    needs: ClassVar[frozenset[Need]] = frozenset({"rope"})
    measured: ClassVar[bool] = True
    excused: ClassVar[dict[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "ranges and codebooks are the prompt's"
    }

    bits: Literal[2, 3, 4]
    outlier_fraction: Fraction | None = None
    codebook: Literal["nuq", "nf", "int"] = "nuq"
    first_tokens_exact: Count = 1

    @property
    def resolved(self) -> Self:
        """Return the same method with a share of outliers."""
        return replace(self, outlier_fraction=self._fraction)

    def start(self, prefix: LayerPrefix) -> State:
        """Calibrate on what the dense prefill has left behind, and encode it."""
        knobs = self.bits, self._fraction, self.codebook, self.first_tokens_exact
        held = prefix.once((type(self), knobs), lambda: self._encoded(prefix))
        k, v = (JudgedTokens(prefix, of, self.first_tokens_exact) for of in held)
        keys = Rotated(k, rope_of(prefix), prefix.lengths, prefix.k.dtype)
        return State((k, v), PackedCache(prefix, keys, v))

    def attend(self, step: Step, state: State) -> Tensor:
        """Quantise the newest token, then attend to all."""
        state.cache.append(step)
        seen = state.cache.seen_by(step)
        state.meter.note(self._moved(seen, state))
        return attend_to_all(seen)

    def calibrated(self, k: Tensor, v: Tensor, seen: Tensor) -> Calibration:
        """Learn from K before rotation and V by places, [B, H, n, D], of tokens that are `seen` [B, n].

        The first tokens count in ranges, not in codebooks. Source: sections 3.2 and 3.3, with weights of 1.
        """
        precise = torch.promote_types(v.dtype, torch.float32)
        lower, upper = (x[:, :, None] for x in ends(k.transpose(2, 3), seen[:, None, None], self._fraction))
        if self.codebook != "nuq":
            plain = (normal_float if self.codebook == "nf" else even)(self.bits)
            same = plain.to(k.device, precise).expand(len(k), -1)
            return Calibration(lower, upper, same, same)
        trained = seen & (torch.arange(seen.shape[1], device=seen.device) >= self.first_tokens_exact)
        least, greatest = ends_of_tokens(v, self._fraction)
        inside = (v > least) & (v < greatest) if self._fraction else torch.ones_like(v, dtype=torch.bool)
        of_k = fitted_to_tokens(normalised(k, lower, upper), (k >= lower) & (k <= upper), trained, self.bits)
        of_v = fitted_to_tokens(normalised(v, least, greatest), inside, trained, self.bits)
        return Calibration(lower, upper, of_k.to(precise), of_v.to(precise))

    def cost(self, at: LayerAt) -> Cost:
        """Count codes, ranges, codebooks and first tokens, and outliers as a prompt has them, which are measured.

        An outlier is a value and an index of as many bits, beside its code.
        """
        d, h, fraction = at.head_dim, at.kv_heads, self._fraction
        exact = min(self.first_tokens_exact, at.n)
        of_keys = 2 * math.ceil(fraction / 2 * (at.prompt - 1)) / at.prompt
        of_values = min(1.0, 2 * (math.floor(fraction / 2 * (h * d - 1)) + 1) / (h * d)) if fraction else 0
        outliers = (of_keys + of_values) * h * d
        newest = self._codes(h * d) + outliers * OUTLIER
        held = ((at.n - exact) * newest + exact * at.tokens(h) + self._fixed(h * d)) / h
        return Cost(attend=held, write=newest / h, held=held)

    def state_elements(self, at: LayerAt) -> float:
        """Count what is held beside the shared cache: codes of 3 bits take 4, an index of an outlier 64."""
        held, without = (of.cost(at).held for of in (self, replace(self, outlier_fraction=0.0)))
        padding = 2 * (room(self.bits) - self.bits) * at.n * at.head_dim
        return (held + padding + (held - without) * 1.5) / ELEMENT

    def meter(self, state: State) -> Meter:
        """Return what was moved, every outlier counted."""
        return state.meter

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Take as many bits as fit, and fewer outliers where even 2 are too many. Raises InputError if those are."""
        return most_bits_and_outliers(cls, (2, 3, 4), OUTLIERS, budget, **without_null(fixed))

    @property
    def _fraction(self) -> float:
        return OUTLIERS if self.outlier_fraction is None else self.outlier_fraction

    def _codes(self, width: int) -> float:
        """Count the bits of a token's codes of K and V over all KV heads, and of its range of V."""
        return 2 * width * self.bits + 2 * ELEMENT

    def _fixed(self, width: int) -> float:
        """Count the bits of all channels' ranges and of codebooks that were fitted."""
        return (2 * width + (2 << self.bits) * (self.codebook == "nuq")) * ELEMENT

    def _moved(self, seen: Step, state: State) -> Tensor:
        """Count the bits of a step that all KV heads read and write, [B]."""
        live, width = seen.mask[:, 0], seen.k.shape[1] * seen.k.shape[3]
        exact = live[:, : self.first_tokens_exact].sum(1)
        k, v = state.tokens
        outliers = ((k.counts + v.counts) * live).sum(1) + k.newest + v.newest
        codes = (live.sum(1) - exact + 1) * self._codes(width)
        return codes + exact * 2 * width * ELEMENT + outliers * OUTLIER + self._fixed(width)

    def _encoded(self, prefix: LayerPrefix) -> tuple[Judged, Judged]:
        """Encode K and V of a prompt."""
        n = int(prefix.lengths.max())
        k = unrotated(aligned(prefix.k, prefix)[:, :, :n], rope_of(prefix))
        v = aligned(prefix.v, prefix)[:, :, :n]
        learnt = self.calibrated(k, v, mask_by_place(prefix.visible, prefix.first.tolist())[:, 0])
        fraction = self._fraction
        of_k = ByChannel(self.bits, learnt.k_centres, learnt.lower, learnt.upper, fraction > 0)
        of_v = ByToken(self.bits, learnt.v_centres, v.shape[3], fraction)
        lengths, first, dtype = prefix.lengths, self.first_tokens_exact, prefix.v.dtype
        return Judged.of(of_k, k, lengths, first, dtype), Judged.of(of_v, v, lengths, first, dtype)
