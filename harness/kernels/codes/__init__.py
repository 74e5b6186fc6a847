"""Attends to a cache whose older tokens are packed codes, and encodes those that each step makes due."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix
from harness.attention.packed import PackedCache, PackedTokens
from harness.kernels.binding import KernelBinding
from harness.kernels.codes.held import HeldCodes
from harness.kernels.codes.tiles import CodeTiles, code_tiles, reads_words
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import check_query, overlap, processors
from harness.kernels.shared.parts import Parts
from harness.kernels.shared.tiles import logit_rows, power
from harness.methods import Method
from harness.methods.all_in_codes import AllInCodes
from harness.methods.compressed.fp8 import FP8
from harness.methods.compressed.int_kv import IntKV
from harness.methods.compressed.kivi import KIVI

TOGETHER = 16
"""Tokens that are encoded side by side."""


@dataclass(frozen=True)
class CodedCache:
    """Holds K and V of a layer in codes. `first` [B] int32: the column of each row's first token, which has place 0.

    The `exact` newest tokens of a step, none or one, do not count for what is to be encoded.
    """

    k: HeldCodes
    v: HeldCodes
    first: Tensor
    exact: int

    @classmethod
    def of(cls, method: Method[PackedCache], prefix: LayerPrefix, exact: int) -> Self:
        """Take over the prompt as the method encodes it."""
        state = method.start(prefix)
        assert isinstance(state.k, PackedTokens)
        assert isinstance(state.v, PackedTokens)
        k, v = (HeldCodes.of(tokens, prefix) for tokens in (state.k, state.v))
        return cls(k, v, prefix.first.to(torch.int32), exact)


def attend_to_codes(
    q: Tensor, cache: KVCache, state: CodedCache, *, scale: float | None = None, tiles: CodeTiles | None = None
) -> Tensor:
    """Attend from q [B, H, G, D] to all tokens, as their codes are read back, or exactly; returns [B, H, G, D].

    The newest token must be in the cache already; of others only those are read there that are in no codes. The
    definitions are in harness/methods/compressed/. Raises InputError where q does not fit the cache.
    """
    check_query(q, cache.k)
    b, h, _, d = q.shape
    _encode(cache, state)
    tiles = tiles or code_tiles(b * h, cache.longest, power(d), processors(q.device))
    return _attend(q.contiguous(), cache, state, d**-0.5 if scale is None else scale, tiles)


def _encode(cache: KVCache, state: CodedCache) -> None:
    """Encode what the step makes due: one launch, whether it is anything or not."""
    from harness.kernels.codes.triton.encode import encode_kernel  # needs Triton

    b, h, _, d = cache.k.shape
    options: dict[str, Any] = {"d": d, "width": power(d), **overlap(cache.k.device)}
    for side, held in (("k", state.k), ("v", state.v)):
        options |= held.options(side, power(d))
        options[f"{side}_pad"] = power(held.codes.shape[3], 1)
        options[f"{side}_learns"] = held.groups.learns
        options[f"{side}_rows"] = min(TOGETHER, held.groups.tokens or 1)
    encode_kernel[(b * h * 2,)](
        cache.k, cache.v, *_pointers(state), state.first, state.k.base, state.v.base, cache.kv_lengths,
        *_strides(cache, state), h, state.k.codes.shape[2], state.exact, *_rules(state), num_warps=4, **options,
    )  # fmt: skip


def _attend(q: Tensor, cache: KVCache, state: CodedCache, scale: float, tiles: CodeTiles) -> Tensor:
    from harness.kernels.codes.triton.attend import attend_codes_kernel  # needs Triton

    b, h, group, d = q.shape
    parts, out, width = Parts.of(q, tiles.parts), torch.empty_like(q), power(d)
    words = reads_words(group, d, q.dtype)
    held = _pointers(state, torch.int32 if words else torch.uint8)
    sides = {**state.k.options("k", width, tiles.block), **state.v.options("v", width, tiles.block)}
    attend_codes_kernel[(b * h * parts.count,)](
        q, cache.k, cache.v, *held, state.first, cache.padding, cache.kv_lengths, out, *parts.pointers,
        *_strides(cache, state), h, state.k.codes.shape[2], parts.count, state.exact, *_rules(state), scale, g=group,
        d=d, width=width, rows=logit_rows(group), block=tiles.block, words=words, many=parts.count > 1,
        stages=tiles.stages, num_warps=tiles.warps, **sides, **overlap(q.device),
    )  # fmt: skip
    return parts.combined(cache, out)


def _pointers(state: CodedCache, codes: torch.dtype = torch.uint8) -> tuple[Tensor, ...]:
    k, v = state.k, state.v
    return k.codes.view(codes), k.groups.scale, k.groups.low, v.codes.view(codes), v.groups.scale, v.groups.low


def _strides(cache: KVCache, state: CodedCache) -> tuple[int, ...]:
    return *cache.k.stride()[:3], *cache.v.stride()[:3], *state.k.strides(), *state.v.strides()


def _rules(state: CodedCache) -> tuple[int, ...]:
    return state.k.tail, state.k.chunk, state.v.tail, state.v.chunk


def _bind_kivi(m: KIVI) -> KernelBinding | None:
    if m.group_size & (m.group_size - 1):  # tiles are powers of two
        return None
    return _bound(m, exact=1)


def _bind_all_in_codes(m: AllInCodes) -> KernelBinding:
    return _bound(m, exact=0)


def _bound(m: Method[PackedCache], exact: int) -> KernelBinding:
    return KernelBinding(lambda prefix: partial(attend_to_codes, state=CodedCache.of(m, prefix, exact)))


BINDINGS = {KIVI: _bind_kivi, IntKV: _bind_all_in_codes, FP8: _bind_all_in_codes}
