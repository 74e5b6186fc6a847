"""Stores the prompt's K before rotation along its principal directions, in more bits the more one matters: SVDq."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to_all
from harness.attention.packed import Packed, PackedTokens, Uniform, aligned
from harness.attention.packed.places import by_column, mask_by_place
from harness.attention.packed.principal import Principal
from harness.attention.quantised import quantised_bits
from harness.attention.unrotated import rope_of
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.bits import most_bits
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Is
from harness.methods.ratio import Budget, without_null

__all__ = ["SVDq"]

MOST = 52
"""Most bits of a code: as many as float64 computes with exactly."""
SCHEDULES = ("4,4,2,0,0,0,0,0", "8,4,4,2,0,0,0,0", "8,4,4,4,2,2,0,0")
"""Bits of eight parts that a ratio chooses from: 1.25, 2.25 and 3 on average."""


def _falling(value: int | str) -> bool:
    """Return True for bits that do not rise, of which there are some."""
    parts = str(value).split(",")
    if not all(part.isdecimal() and int(part) <= MOST for part in parts):
        return False
    bits = [int(part) for part in parts]
    return bits[0] > 0 and bits == sorted(bits, reverse=True)


Schedule = Annotated[
    int | str, Is(f"bits of 0 to {MOST} that never rise, such as '4,4,2,0,0,0,0,0'", _falling, (int, str))
]
"""Lists the bits of parts of the directions, which have the same width, the most important first."""


@dataclass
class Reduced:
    """Holds K of a layer, and V if that is quantised too, by places, and the columns `first` in which rows begin."""

    first: list[int]
    k: PackedTokens
    v: PackedTokens | None


@dataclass(frozen=True)
class SVDq(Method[Reduced]):
    """Spends `bits` on parts of the directions, those of all KV heads together unless `joint_heads` is false.

    A part with 0 bits is dropped. Decoded tokens are exact, as V is unless `value_bits` says how many bits it takes,
    each token's channels between their least and greatest.
    """

    about: ClassVar[About] = About(
        title="SVDq",
        access="all",
        note="no code was released: that keys are taken before rotation and heads together, how bits are split and how "
        "values are quantised is our reading",
        paper=Paper(
            title="SVDq: 1.25-bit and 410x Key Cache Compression for LLM Attention",
            authors="Yankun Hong, Xing Li, Hui-Ling Zhen, Xianzhi Yu, Wulong Liu, Mingxuan Yuan",
            year=2025,
            arxiv="2502.15304",
        ),
    )
    needs: ClassVar[frozenset[Need]] = frozenset({"rope"})
    excused: ClassVar[dict[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "directions are the prompt's, decoded tokens exact"
    }

    bits: Schedule
    joint_heads: bool = True
    value_bits: Literal[2, 4, 8] | None = None

    @property
    def owns_cache(self) -> bool:
        """Return True where V is quantised: else the cache's V is read."""
        return self.value_bits is not None

    def start(self, prefix: LayerPrefix) -> Reduced:
        """Decompose and encode the prompt, and make room for exact tokens."""
        lengths, tail = prefix.lengths.tolist(), max(1, prefix.decode_steps)
        k = prefix.once((type(self), self.bits, self.joint_heads), lambda: self._encoded(prefix))
        state = Reduced(prefix.first.tolist(), PackedTokens(prefix, prefix.k, k, lengths, k.form, tail), None)
        if self.value_bits is not None:
            form, of_v = Uniform(self.value_bits, prefix.v.shape[3]), aligned(prefix.v, prefix)[:, :, : max(lengths)]
            v = prefix.once(form, lambda: Packed.of(form, of_v))
            state.v = PackedTokens(prefix, prefix.v, v, lengths, form, tail)
        return state

    def attend(self, step: Step, state: Reduced) -> Tensor:
        """Attend to all, decoded tokens exactly."""
        state.k.append(step.k[:, :, -1])
        seen = replace(step, k=by_column(state.k.read(), state.first))
        if state.v is not None:
            state.v.append(step.v[:, :, -1])
            seen = replace(seen, v=by_column(state.v.read(), state.first))
        return attend_to_all(seen)

    def cost(self, at: LayerAt) -> Cost:
        """Count codes, directions, ranges and the mean of the prompt's K, its V, and all of decoded tokens."""
        held = self._keys(at) + self._values(at)
        return Cost(attend=held, write=at.newest, held=held)

    def state_elements(self, at: LayerAt) -> float:
        """Count what is held beside the shared cache, directions and mean in float32."""
        kept, _ = self._kept(at)
        twice = at.elements((len(kept) + 1) * at.head_dim)
        return (self._keys(at) + twice + (0 if self.value_bits is None else self._values(at))) / ELEMENT

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Choose among schedules of 1.25, 2.25 and 3 bits. Raises InputError if the first is too much."""
        given = without_null(fixed)
        try:
            return most_bits(cls, (given["bits"],) if "bits" in given else SCHEDULES, budget, **given)
        except InputError as error:
            if budget.ratio <= 1 or "value_bits" in given:
                raise
            raise InputError(f"{error}, for V stays exact: set value_bits to 2, 4 or 8") from None

    def _widths(self, columns: int) -> list[int]:
        """Return the bits of every column. Raises InputError if there are fewer columns than parts."""
        parts = [int(part) for part in str(self.bits).split(",")]
        if columns < len(parts):
            raise InputError(f"SVDq needs bits of at most {columns} parts where K has as many columns")
        return [parts[min(i // (columns // len(parts)), len(parts) - 1)] for i in range(columns)]

    def _encoded(self, prefix: LayerPrefix) -> Packed:
        """Decompose K of the prompt, and encode it."""
        h, d = prefix.k.shape[1::2]
        k = aligned(prefix.k, prefix)[:, :, : int(prefix.lengths.max())]
        seen = mask_by_place(prefix.visible, prefix.first.tolist())[:, 0]
        widths = self._widths(h * d if self.joint_heads else d)
        form = Principal.of(k, seen, widths, rope_of(prefix), self.joint_heads)
        return Packed(form.to(torch.promote_types(k.dtype, torch.float32)), form.encode(k), k.shape[2])

    def _kept(self, at: LayerAt) -> tuple[list[int], int]:
        """Return the bits of the columns that are kept, and how many KV heads share them."""
        shared = at.kv_heads if self.joint_heads else 1
        return [bits for bits in self._widths(shared * at.head_dim)[: at.prompt] if bits], shared

    def _keys(self, at: LayerAt) -> float:
        """Count the bits of K of a KV head, which reads its own rows of the directions."""
        kept, shared = self._kept(at)
        codes, ranges = at.prompt * sum(kept) / shared, at.elements(2 * len(kept) / shared)
        return codes + ranges + at.elements((len(kept) + 1) * at.head_dim) + at.keys(at.n - at.prompt)

    def _values(self, at: LayerAt) -> float:
        """Count the bits of V of a KV head."""
        if self.value_bits is None:
            return at.keys(at.n)
        prompt = quantised_bits(at.prompt * at.head_dim, self.value_bits, at.head_dim)
        return prompt + at.keys(at.n - at.prompt)
