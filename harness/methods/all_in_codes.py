"""Holds every token in codes, the newest from its own step on: what the plain quantised caches of engines share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to_all
from harness.attention.packed import Format, Packed, PackedCache, PackedTokens, aligned
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt


@dataclass(frozen=True)
class AllInCodes(Method[PackedCache]):
    """Encodes K and V of the prompt, then of each new token before its own step attends to it, as engines do."""

    owns_cache: ClassVar[bool] = True

    @abstractmethod
    def formats(self, k: Tensor, v: Tensor, live: Tensor) -> tuple[Format, Format]:
        """Return the formats of K and of V, of the prompt's k and v [B, H, S', D] by places, `live` [B, 1, S']."""

    @property
    @abstractmethod
    def coding(self) -> Hashable:
        """Return what the formats depend on besides the prompt: cells in which it is equal share the prompt's codes."""

    @abstractmethod
    def token_bits(self, at: LayerAt) -> float:
        """Count the bits of K and V of a token."""

    def common_bits(self, at: LayerAt) -> float:
        """Count the bits of what is held once for all tokens of a KV head."""
        return 0

    def start(self, prefix: LayerPrefix) -> PackedCache:
        """Encode what the dense prefill has left behind."""
        counts = prefix.lengths.tolist()
        k, v = prefix.once((type(self), self.coding), lambda: self._encoded(prefix))
        return PackedCache(
            prefix,
            PackedTokens(prefix, prefix.k, k, counts, k.form, tail=1),
            PackedTokens(prefix, prefix.v, v, counts, v.form, tail=1),
        )

    def attend(self, step: Step, state: PackedCache) -> Tensor:
        """Encode the newest token, then attend to all as they are read back."""
        state.append(step)
        state.settle()
        return attend_to_all(state.seen_by(step))

    def cost(self, at: LayerAt) -> Cost:
        """Count the codes of all tokens as read and held, with whatever is common to them; the newest's as written."""
        held = at.n * self.token_bits(at) + self.common_bits(at)
        return Cost(attend=held, write=self.token_bits(at), held=held)

    def state_elements(self, at: LayerAt) -> float:
        """Count what is held beside the shared cache: codes, and room for two tokens that are not yet."""
        return (self.cost(at).held + at.tokens(2)) / ELEMENT

    def _encoded(self, prefix: LayerPrefix) -> tuple[Packed, Packed]:
        k, v = aligned(prefix.k, prefix), aligned(prefix.v, prefix)
        of_k, of_v = self.formats(k, v, prefix.mask.flip(-1)[..., : k.shape[2]])  # rows begin together now
        return Packed.of(of_k, k), Packed.of(of_v, v)
