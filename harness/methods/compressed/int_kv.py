"""Stores K and V as integers of few bits, as serving engines do: a baseline of what plain rounding loses."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from harness.attention.packed import Format, Uniform
from harness.attention.packed.ranges import Ranges
from harness.attention.quantised import STORED
from harness.methods.about import About
from harness.methods.all_in_codes import AllInCodes
from harness.methods.bits import at_its_ratio, most_bits
from harness.methods.cost import LayerAt
from harness.methods.ratio import Budget, without_null

__all__ = ["IntKV"]


@dataclass(frozen=True)
class IntKV(AllInCodes):
    """Stores K and V as integers of `bits`, with a scale and a least number for each token and KV head.

    With by="channel" keys have a scale and a least number for each channel instead, those of the prompt, within which
    later keys are clamped; values stay by token, in both. Every token is stored so, the newest from its own step on.
    """

    about: ClassVar[About] = About(title="Integers", access="all")
    excused: ClassVar[dict[str, str]] = {
        "a_full_budget_is_dense_attention": "it rounds at any number of bits",
        "a_full_budget_honours_the_soft_cap": "it rounds at any number of bits",
        "a_sliding_window_equals_starting_anew_at_every_step": "by channel, ranges are the prompt's",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "by channel, ranges are the whole prompt's",
    }

    bits: Literal[2, 4, 8]
    by: Literal["token", "channel"] = "token"

    @property
    def coding(self) -> Hashable:
        """Return the knobs."""
        return self.bits, self.by

    def formats(self, k: Tensor, v: Tensor, live: Tensor) -> tuple[Format, Format]:
        """Make one group of a token's channels, or of each channel's entries in the prompt."""
        by_token = Uniform(self.bits, v.shape[3])
        return Ranges.of(k, live, self.bits) if self.by == "channel" else Uniform(self.bits, k.shape[3]), by_token

    def token_bits(self, at: LayerAt) -> float:
        """Count codes, and 32 bits for each scale with its least number."""
        scales = 1 if self.by == "channel" else 2
        return 2 * at.head_dim * self.bits + scales * 2 * STORED

    def common_bits(self, at: LayerAt) -> float:
        """Count the ranges of channels."""
        return 2 * STORED * at.head_dim if self.by == "channel" else 0

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Take as many bits as fit. Raises InputError if 2 are too many, and where 8 leave more than 2% unused."""
        given = without_null(fixed)
        if "bits" in given:
            return at_its_ratio(cls(**given), budget)
        found = most_bits(cls, (2, 4, 8), budget, **given)
        return at_its_ratio(found, budget) if found.bits == 8 else found
