"""Holds low-rank latents of K and V in packed codes, from which both are made anew in every step."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.latents import Latents
from harness.attention.packed.bits import pack, unpack
from harness.attention.packed.cache import PackedCache
from harness.attention.packed.held import Format, Held, Packed
from harness.attention.packed.places import aligned
from harness.attention.packed.rotated import Rotated, unrotated
from harness.attention.packed.tokens import PackedTokens
from harness.attention.step import LayerPrefix, Step
from harness.attention.unrotated import rope_of
from harness.attention.weights import TruncatedProjections, joined, parted


@dataclass(frozen=True, eq=False)
class LatentFormat(Format):
    """Encodes keys before their rotation, or values, of all KV heads of a token together, without their bias [H D]."""

    space: Latents
    bias: Tensor | None
    heads: int
    dtype: torch.dtype

    def encode(self, x: Tensor) -> Held:
        """Return packed codes, steps and zero points, [B, 1, n, ...] each, of x [B, H, n, D]."""
        codes, step, zero = self.space.encode(joined(x, self.bias)[:, None])
        return pack(codes, self.space.bits), step, zero.to(torch.uint8)

    def decode(self, held: Held) -> Tensor:
        """Read back [B, H, n, D]."""
        codes, step, zero = held
        back = self.space.decode(unpack(codes, self.space.bits, self.space.rank).to(step), step, zero.to(step))
        return parted(back[:, 0], self.bias, self.heads).to(self.dtype)


class PackedLatents:
    """Holds the latents of a layer; every token is read back from its codes, the newest included."""

    def __init__(self, prefix: LayerPrefix) -> None:
        weights, rope = prefix.weights, rope_of(prefix)
        assert isinstance(weights, TruncatedProjections)
        assert isinstance(weights.k_space, Latents) and isinstance(weights.v_space, Latents)
        k, v = unrotated(aligned(prefix.k, prefix), rope), aligned(prefix.v, prefix)
        keys = Rotated(_tokens(prefix, k, weights.k_space, weights.k_bias), rope, prefix.lengths, prefix.k.dtype)
        self._cache = PackedCache(prefix, keys, _tokens(prefix, v, weights.v_space, weights.v_bias))

    def take(self, step: Step) -> Step:
        """Add a step's newest token, and return the step with all tokens as they are read back."""
        self._cache.append(step)
        self._cache.settle()
        return self._cache.seen_by(step)


def _tokens(prefix: LayerPrefix, x: Tensor, space: Latents, bias: Tensor | None) -> PackedTokens:
    """Hold tokens by places, all of them in codes."""
    form = LatentFormat(space, bias, x.shape[1], x.dtype)
    return PackedTokens(prefix, x, Packed.of(form, x), prefix.lengths.tolist(), form, tail=1)
