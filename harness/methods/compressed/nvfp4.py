"""Stores K and V as floats of 4 bits in blocks that have a float of 8 bits as their scale: NVFP4."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar, Self

from torch import Tensor

from harness.attention.packed import Format
from harness.attention.packed.floats import BLOCK, MOST_E2M1, MOST_E4M3, NVFP4, largest
from harness.methods.about import About
from harness.methods.all_in_codes import AllInCodes
from harness.methods.bits import SCALE, at_its_ratio
from harness.methods.cost import LayerAt
from harness.methods.ratio import Budget

__all__ = ["NVFP4KV"]


@dataclass(frozen=True)
class NVFP4KV(AllInCodes):
    """Stores K and V as E2M1 floats, with an E4M3 scale for 16 channels of a token, and one scale of the prompt's.

    The latter, one of K and one of V in each row and layer, takes the largest magnitude to 6 times 448, the largest
    that codes and scales reach together; later tokens beyond it saturate. Every token is stored so, the newest from its
    own step on.
    """

    about: ClassVar[About] = About(
        title="NVFP4", access="all", note="the format as NVIDIA described it in 2025; there is no paper"
    )
    excused: ClassVar[dict[str, str]] = {
        "a_full_budget_is_dense_attention": "it rounds every number",
        "a_full_budget_honours_the_soft_cap": "it rounds every number",
        "entries_with_a_gradient_are_paid_for": "every number is read from a code, through which there is no gradient",
        "a_sliding_window_equals_starting_anew_at_every_step": "its outer scale is the prompt's",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "its outer scale is the whole prompt's",
        "values_that_a_sliding_window_dropped_have_no_influence": "its outer scale is the whole prompt's",
    }

    @property
    def coding(self) -> Hashable:
        """Return nothing: there is one format."""
        return None

    def formats(self, k: Tensor, v: Tensor, live: Tensor) -> tuple[Format, Format]:
        """Scale K and V of each row."""
        return _format(k), _format(v)

    def token_bits(self, at: LayerAt) -> float:
        """Count 4 bits a number and 8 a block: 4.5 bits where 16 divides the head dimension."""
        return 2 * (at.head_dim * 4 + -(-at.head_dim // BLOCK) * 8)

    def common_bits(self, at: LayerAt) -> float:
        """Count a KV head's part of the layer's two outer scales."""
        return 2 * SCALE / at.kv_heads

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Return it at its own ratio, almost 16 / 4.5. Raises InputError at any other."""
        return at_its_ratio(cls(**fixed), budget)


def _format(x: Tensor) -> NVFP4:
    scale = largest(x) / (MOST_E2M1 * MOST_E4M3)
    return NVFP4(scale.masked_fill(scale == 0, 1), x.shape[3])
