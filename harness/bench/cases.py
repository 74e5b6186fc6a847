"""What is timed: dense attention by every SDPA backend, and the methods by PyTorch or by the kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from harness import methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.bench.timing import Call
from harness.errors import InputError
from harness.kernels import KVCache, find_binding
from harness.methods import Method

SHORTEST = 3
"""Cached tokens of the shortest step: a prompt of one, the step that settles a method's state, the step timed."""


@dataclass(frozen=True)
class Buffers:
    """One set of inputs: q [B, H, G, D] and a full cache of S tokens."""

    q: Tensor
    cache: KVCache


@dataclass(frozen=True)
class Layout:
    """What is measured: batch rows, S cached tokens, query heads, KV heads, head dimension, element type."""

    batch: int
    s: int
    heads: int
    kv_heads: int
    d: int
    dtype: torch.dtype

    def __post_init__(self) -> None:
        for axis, least in {"batch": 1, "s": SHORTEST, "heads": 1, "kv_heads": 1, "d": 1}.items():
            if getattr(self, axis) < least:
                raise InputError(f"{axis} must be at least {least}, not {getattr(self, axis)}")
        if self.heads % self.kv_heads:
            raise InputError(f"{self.heads} query heads cannot share {self.kv_heads} KV heads evenly")

    def buffers(self, device: torch.device) -> Buffers:
        """Fresh random inputs."""
        b, h = self.batch, self.kv_heads
        k, v = torch.randn(2, b, h, self.s, self.d, dtype=self.dtype, device=device)
        q = torch.randn(b, h, self.heads // h, self.d, dtype=self.dtype, device=device)
        return Buffers(q, KVCache.of(k, v))


def dense_calls(x: Buffers) -> dict[str, Call]:
    """One call per SDPA backend that takes this layout; with groups, also with the group as the query's length."""
    b, h, g, d = x.q.shape
    s = x.cache.longest
    k, v, flat = x.cache.k[:, :, :s], x.cache.v[:, :, :s], x.q.view(b, h * g, 1, d)
    calls: dict[str, Call] = {}
    for name, backend in SDPBackend.__members__.items():
        if name in {"ERROR", "OVERRIDEABLE"}:
            continue
        label = f"sdpa {name.removesuffix('_ATTENTION').lower()}"
        calls[label] = _sdpa(flat, k, v, backend, g > 1)
        if g > 1:
            calls[f"{label} packed"] = _sdpa(x.q, k, v, backend, False)
    return {label: call for label, call in calls.items() if _works(call)}


def method_call(name: str, x: Buffers, kernel: str, **knobs: Any) -> Call:
    """One decode step of a method by kernel 'torch' or 'triton'. Raises InputError for a method without a kernel."""
    make = _triton_call if kernel == "triton" else _torch_call
    return make(methods.create(name, **knobs), x, Scores(x.q.shape[3] ** -0.5))


def _sdpa(q: Tensor, k: Tensor, v: Tensor, backend: SDPBackend, grouped: bool) -> Call:
    def call() -> Tensor:
        with sdpa_kernel(backend):
            return scaled_dot_product_attention(q, k, v, enable_gqa=grouped)

    return call


def _works(call: Call) -> bool:
    with warnings.catch_warnings():  # a backend that refuses says why in warnings
        warnings.simplefilter("ignore")
        try:
            call()
        except RuntimeError:
            return False
    return True


def prompt_of(method: Method[Any], step: Step, tokens: int, layer: int = 0) -> LayerPrefix:
    """The first `tokens` of what a step sees as a prompt with random statistics; the rest is decoded."""
    k, v = step.k[:, :, :tokens], step.v[:, :, :tokens]
    statistics = {name: torch.rand(k.shape[:3], device=k.device) for name in sorted(method.observes)}
    return LayerPrefix(k, v, step.mask[..., :tokens], step.length - tokens, layer, statistics)


def repeated(method: Method[Any], step: Step, layer: int = 0) -> Callable[[Step], Tensor]:
    """A step that can be timed again and again: each starts from the state that the step before left.

    What only the first step after a prompt does, such as H2O's eviction of most of it, is not timed.
    """
    state = method.start(prompt_of(method, step, step.length - 2, layer))
    mask = step.mask[..., :-1]
    method.attend(Step(step.q, step.k[:, :, :-1], step.v[:, :, :-1], mask, step.scores), state)
    return lambda again: method.attend(again, copy(state))


def whole_step(x: Buffers, scores: Scores) -> Step:
    """The step that reads all of a cache without padding."""
    n = x.cache.longest
    mask = torch.ones(x.q.shape[0], 1, n, dtype=torch.bool, device=x.q.device)
    return Step(x.q, x.cache.k[:, :, :n], x.cache.v[:, :, :n], mask, scores)


def _torch_call(method: Method[Any], x: Buffers, scores: Scores) -> Call:
    step = whole_step(x, scores)
    call = repeated(method, step)
    return lambda: call(step)


def _triton_call(method: Method[Any], x: Buffers, scores: Scores) -> Call:
    kernel = find_binding(method)
    if kernel is None:
        raise InputError(f"{type(method).__name__} has no kernel to be timed: leave it out, or choose kernel=torch")
    attend = kernel.for_layer(prompt_of(method, whole_step(x, scores), x.cache.longest - 1))
    attend(x.q, x.cache, scale=scores.scale)  # the first step after a prompt may do more than the following ones
    return lambda: attend(x.q, x.cache, scale=scores.scale)
