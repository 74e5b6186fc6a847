"""Stores K in few bits by channel and V in few bits by token, the newest tokens exactly: KIVI."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to_all
from harness.attention.own_cache import OwnCache
from harness.attention.quantised import quantised, quantised_bits, quantised_tokens
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.bits import most_bits
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, without_null

__all__ = ["KIVI"]

Bits = Literal[2, 4, 8]


@dataclass
class Tailed:
    """Holds the cache as it is read back, and how many live tokens each row has; `due` after a step that added one."""

    cache: OwnCache
    live: list[int]
    due: bool = False


@dataclass(frozen=True)
class KIVI(Method[Tailed]):
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

    def start(self, prefix: LayerPrefix) -> Tailed:
        """Quantise what the dense prefill has left behind."""
        self._check_multiple(prefix.k.shape[3], "a head dimension")
        r, old = self.residual_length, max(0, prefix.v.shape[2] - self.residual_length)
        k = quantised_tokens(prefix.k, prefix.first, prefix.lengths // r * r, self._of_keys, self.group_size)
        v = prefix.v.clone()
        v[:, :, :old] = quantised(v[:, :, :old], self._of_values, self.group_size)
        return Tailed(OwnCache(prefix, k, v), prefix.lengths.tolist())

    def attend(self, step: Step, state: Tailed) -> Tensor:
        """Quantise what the last step has made due, then attend to all, the newest token exactly."""
        if state.due:
            self.settle(state)
        state.cache.append(step.k[:, :, -1], step.v[:, :, -1])
        state.live, state.due = [count + 1 for count in state.live], True
        return attend_to_all(state.cache.seen_by(step))

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
        """Count a second cache: codes are held as they are read back."""
        return at.cache / ELEMENT

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

    def settle(self, state: Tailed) -> None:
        """Quantise tails of keys that are full, in the rows where they are, and the oldest exact value of each row."""
        cache, n, r = state.cache, state.cache.length, self.residual_length
        full = [row for row, count in enumerate(state.live) if count % r == 0]
        if full:
            tail = cache.k[full, :, n - r : n]
            cache.k[full, :, n - r : n] = quantised(tail, self._of_keys, self.group_size, -2)
        if n > r:
            cache.v[:, :, n - r - 1] = quantised(cache.v[:, :, n - r - 1], self._of_values, self.group_size)

    def _bits(self, at: LayerAt, settled: int) -> float:
        """Count the bits of all K and V when so many tokens have been through the quantiser's rules."""
        r, d, g = self.residual_length, at.head_dim, self.group_size
        keys, values = settled // r * r, max(0, settled - r)
        codes = quantised_bits(keys * d, self._of_keys, g) + quantised_bits(values * d, self._of_values, g)
        return codes + at.keys(at.n - keys) + at.keys(at.n - values)

    def _check_multiple(self, value: int, what: str) -> None:
        if value % self.group_size:
            raise InputError(f"KIVI needs {what} that is a multiple of group_size={self.group_size}, not {value}")
