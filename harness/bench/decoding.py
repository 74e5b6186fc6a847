"""Decodes over caches that are full from the start, by any implementation of attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from harness.attention import LayerShape, Step
from harness.bench.cases import BY_KERNEL, Buffers, prompt_of, repeated
from harness.engine.model import LayerCall
from harness.errors import InputError
from harness.kernels import KVCache, append, find_binding
from harness.kernels.binding import LayerKernel
from harness.methods import Method

SPACE = 64
"""Columns of a cache beyond the tokens that fill it."""
Attend = Callable[[LayerCall, KVCache], Tensor]
"""Attention of one layer's new token over its cache, [B, Hq, 1, D]."""


@dataclass
class Decoding:
    """Decodes token after token at `length` cached tokens: a forward mode whose layers share one counter of tokens.

    caches: one per layer. counter: [layers, B] int32, each cache's `kv_lengths` is a row of it.
    """

    caches: list[KVCache]
    counter: Tensor
    length: int
    attention: Attend
    final: int | None = None
    wants_inputs: bool = False

    @property
    def cached(self) -> int:
        """Count the columns before a step."""
        return self.length - 1

    def rewind(self) -> None:
        """Forget the last token, so that every step costs the same."""
        self.counter.fill_(self.cached)
        for cache in self.caches:
            cache.longest = self.cached

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def attend(self, call: LayerCall) -> Tensor:
        """Append the token, then attend; never traced, for its kernels are what is measured."""
        return self.attention(call, self.caches[call.layer])


def filled(layers: tuple[LayerShape, ...], batch: int, length: int, transposed: bool, like: Tensor) -> Decoding:
    """Make caches of `length` random tokens per row in the dtype and on the device of `like`, with no attention yet."""
    counter = torch.full((len(layers), batch), length - 1, dtype=torch.int32, device=like.device)
    caches = [_random_cache(shape, batch, length, transposed, like) for shape in layers]
    for cache, row in zip(caches, counter, strict=True):
        cache.kv_lengths = row
        cache.longest = length
    return Decoding(caches, counter, length, no_attention)


def no_attention(call: LayerCall, _: KVCache) -> Tensor:
    """Return the query: what remains of a step is the rest of the model."""
    return call.q


def by_kernel(method: Method[Any]) -> Attend:
    """Attend by the method's own kernels. Raises InputError for a method without one."""
    binding = find_binding(method)
    if binding is None:
        raise InputError(f"{method.about.title} with these knobs has no kernel to be timed on a GPU")
    layers: dict[int, LayerKernel] = {}

    def attend(call: LayerCall, cache: KVCache) -> Tensor:
        append(cache, call.k[:, :, 0], call.v[:, :, 0])
        q = grouped(call)
        if call.layer not in layers:
            step = Buffers(q, cache).step_with(call.scores)
            layers[call.layer] = binding.for_layer(prompt_of(method, step, BY_KERNEL, call.layer))
        return layers[call.layer](q, cache, scale=call.scores.scale).view(call.q.shape)

    return attend


def by_sdpa(backend: SDPBackend, length: int) -> Attend:
    """Attend densely through one of PyTorch's own backends, which raises RuntimeError where it cannot."""

    def attend(call: LayerCall, cache: KVCache) -> Tensor:
        cache.k[:, :, length - 1], cache.v[:, :, length - 1] = call.k[:, :, 0], call.v[:, :, 0]
        k, v = cache.k[:, :, :length], cache.v[:, :, :length]
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(
                call.q, k, v, scale=call.scores.scale, enable_gqa=call.q.shape[1] != call.k.shape[1]
            )

    return attend


def by_torch(method: Method[Any], length: int) -> Attend:
    """Attend as harness/methods/ has it, for machines without a GPU."""
    layers: dict[int, Callable[[Step], Tensor]] = {}

    def attend(call: LayerCall, cache: KVCache) -> Tensor:
        cache.k[:, :, length - 1], cache.v[:, :, length - 1] = call.k[:, :, 0], call.v[:, :, 0]
        cache.longest = length
        step = Buffers(grouped(call), cache).step_with(call.scores)
        if call.layer not in layers:
            layers[call.layer] = repeated(method, step, call.layer)
        return layers[call.layer](step).reshape(call.q.shape)

    return attend


def grouped(call: LayerCall) -> Tensor:
    """Return a layer's queries [B, Hq, 1, D] as [B, H, G, D]."""
    b, hq, _, d = call.q.shape
    h = call.k.shape[1]
    return call.q.view(b, h, hq // h, d)


def _random_cache(shape: LayerShape, batch: int, length: int, transposed: bool, like: Tensor) -> KVCache:
    k, v = (
        torch.randn(batch, shape.kv_heads, length, shape.head_dim, dtype=like.dtype, device=like.device)
        for _ in range(2)
    )
    return KVCache.of(k, v, decode_steps=SPACE, transposed=transposed)
