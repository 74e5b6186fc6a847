"""Stores K and V as floats of 8 bits, as serving engines do: FP8 (E4M3)."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention.packed import Format
from harness.attention.packed.floats import E4M3, MOST_E4M3, largest
from harness.methods.about import About, Paper
from harness.methods.all_in_codes import AllInCodes
from harness.methods.bits import SCALE, at_its_ratio
from harness.methods.cost import LayerAt
from harness.methods.ratio import Budget

__all__ = ["FP8"]


@dataclass(frozen=True)
class FP8(AllInCodes):
    """Stores K and V as E4M3 floats, divided by one scale of a layer's K and one of its V, which are 1 by default.

    With scale="prompt" they are what takes the largest magnitude of the row's prompt, in all KV heads, to 448. Larger
    ones saturate. Every token is stored so, the newest from its own step on. Source of the format: section 3.
    """

    about: ClassVar[About] = About(
        title="FP8",
        access="all",
        paper=Paper(
            title="FP8 Formats for Deep Learning",
            authors="Paulius Micikevicius, Dusan Stosic, Neil Burgess, Marius Cornea, Pradeep Dubey, "
            "Richard Grisenthwaite, Sangwon Ha, Alexander Heinecke, Patrick Judd, John Kamalu, Naveen Mellempudi, "
            "Stuart Oberman, Mohammad Shoeybi, Michael Siu, Hao Wu",
            year=2022,
            arxiv="2209.05433",
        ),
    )
    excused: ClassVar[dict[str, str]] = {
        "a_full_budget_is_dense_attention": "it rounds every number",
        "a_full_budget_honours_the_soft_cap": "it rounds every number",
        "entries_with_a_gradient_are_paid_for": "every number is read from a code, through which there is no gradient",
        "a_sliding_window_equals_starting_anew_at_every_step": "its scales may be the prompt's",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "its scales may be the whole prompt's",
        "values_that_a_sliding_window_dropped_have_no_influence": "its scales may be the whole prompt's",
    }

    scale: Literal["one", "prompt"] = "one"

    @property
    def coding(self) -> Hashable:
        """Return the knob."""
        return self.scale

    def formats(self, k: Tensor, v: Tensor, live: Tensor) -> tuple[Format, Format]:
        """Scale K and V of each row."""
        return self._format(k), self._format(v)

    def token_bits(self, at: LayerAt) -> float:
        """Count 8 bits a number."""
        return 2 * at.head_dim * 8

    def common_bits(self, at: LayerAt) -> float:
        """Count a KV head's part of the layer's two scales, if they are not constants."""
        return 2 * SCALE / at.kv_heads if self.scale == "prompt" else 0

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Return it at its own ratio, 2 or almost. Raises InputError at any other."""
        return at_its_ratio(cls(**fixed), budget)

    def _format(self, x: Tensor) -> E4M3:
        most = largest(x)
        scale = most / MOST_E4M3 if self.scale == "prompt" else torch.ones_like(most)
        return E4M3(scale.masked_fill(scale == 0, 1))
