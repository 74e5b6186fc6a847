"""Stores K in few bits by channel and V in few bits by token, the newest tokens exactly: KIVI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to_all
from harness.attention.packed import Packed, PackedCache, PackedTokens, Uniform, aligned
from harness.attention.quantised import quantised_bits
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.bits import most_bits
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, without_null

__all__ = ["KIVI"]

Bits = Literal[2, 4, 8]


@dataclass(frozen=True)
class KIVI(Method[PackedCache]):
    """Quantises keys in groups of `group_size` tokens of a channel, values in groups of as many channels of a token.

    The newest `residual_length` values stay exact. Keys are quantised whenever as many have gathered, so between none
    and residual_length - 1 are exact: the code's rule, where the paper speaks of the newest residual_length. Groups
    count from a row's first live token. `key_bits` and `value_bits` are `bits` where they are null.
    """

    about: ClassVar[About] = About(
        title="KIVI",
        access="all",
        paper=Paper(
            title="KIVI: A Tuning-Free Asymmetric 2bit Quantization for KV Cache",
            authors="Zirui Liu, Jiayi Yuan, Hongye Jin, Shaochen Zhong, Zhaozhuo Xu, Vladimir Braverman, Beidi Chen, "
            "Xia Hu",
            venue="ICML",
            year=2024,
            arxiv="2402.02750",
        ),
    )
    owns_cache: ClassVar[bool] = True
    excused: ClassVar[dict[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "they share the scale of a group with tokens in sight"
    }

    bits: Bits
    key_bits: Bits | None = None
    value_bits: Bits | None = None
    group_size: Size = 32
    residual_length: Size = 128

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_multiple(self.residual_length, "residual_length")

    def start(self, prefix: LayerPrefix) -> PackedCache:
        """Quantise what the dense prefill has left behind."""
        return PackedCache(prefix, *self.tokens(prefix))

    def tokens(self, prefix: LayerPrefix) -> tuple[PackedTokens, PackedTokens]:
        """Return K and V of a prompt, quantised where they are to be."""
        self._check_multiple(prefix.k.shape[3], "a head dimension")
        r, g = self.residual_length, self.group_size
        keys, values = Uniform(self._of_keys, g, -2), Uniform(self._of_values, g)
        whole = [count // r * r for count in prefix.lengths.tolist()]
        old = [max(0, count - r) for count in prefix.lengths.tolist()]
        k, v = aligned(prefix.k, prefix), aligned(prefix.v, prefix)
        return (
            PackedTokens(prefix, k, _prompt(prefix, "k", k, keys, whole), whole, keys, tail=r, chunk=r),
            PackedTokens(prefix, v, _prompt(prefix, "v", v, values, old), old, values, tail=r + 1),
        )

    def attend(self, step: Step, state: PackedCache) -> Tensor:
        """Quantise what the last step has made due, then attend to all, the newest token exactly."""
        state.settle()
        state.append(step)
        return attend_to_all(state.seen_by(step))

    def cost(self, at: LayerAt) -> Cost:
        """Count codes, scales, least numbers and exact tails; codes are written on average.

        In a layer with a window the tokens in sight are counted as if they were all there are.
        """
        self._check_multiple(at.head_dim, "a head dimension")
        r, d, g = self.residual_length, at.head_dim, self.group_size
        keys = quantised_bits(d, self._of_keys, g) if at.n >= r else 0
        values = quantised_bits(d, self._of_values, g) if at.n > r else 0
        return Cost(attend=self._bits(at, at.n - 1), write=at.newest + keys + values, held=self._bits(at, at.n))

    def state_elements(self, at: LayerAt) -> float:
        """Count what is held beside the shared cache: codes, and room for the tails whether they are full or not."""
        return (self._bits(at, at.n) + at.tokens(self.residual_length + 2)) / ELEMENT

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Take as many bits as fit; group_size and residual_length stay. Raises InputError if 2 are too many."""
        given = without_null(fixed)
        return most_bits(cls, (given["bits"],) if "bits" in given else (2, 4, 8), budget, **given)

    @property
    def _of_keys(self) -> int:
        return self.key_bits or self.bits

    @property
    def _of_values(self) -> int:
        return self.value_bits or self.bits

    @property
    def bits_of_both(self) -> tuple[int, int]:
        """Return the bits of keys and of values."""
        return self._of_keys, self._of_values

    def _bits(self, at: LayerAt, settled: int) -> float:
        """Count the bits of all K and V when so many tokens have been through the quantiser's rules."""
        r, d, g = self.residual_length, at.head_dim, self.group_size
        keys, values = settled // r * r, max(0, settled - r)
        codes = quantised_bits(keys * d, self._of_keys, g) + quantised_bits(values * d, self._of_values, g)
        return codes + at.keys(at.n - keys) + at.keys(at.n - values)

    def _check_multiple(self, value: int, what: str) -> None:
        if value % self.group_size:
            raise InputError(f"KIVI needs {what} that is a multiple of group_size={self.group_size}, not {value}")


def _prompt(prefix: LayerPrefix, of: str, x: Tensor, form: Uniform, counts: list[int]) -> Packed | None:
    """Encode the prompt's tokens [B, H, S, D] that some row has quantised, for all cells that quantise them alike."""
    most = max(counts)
    return prefix.once((of, form, most), lambda: Packed.of(form, x[:, :, :most])) if most else None
