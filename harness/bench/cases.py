"""What is timed: dense attention by every SDPA backend, and the methods by PyTorch or by the kernels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention

from harness import kernels, methods
from harness.attention import LayerPrefix, Step
from harness.attention.scores import Scores
from harness.bench.timing import Call
from harness.errors import InputError
from harness.kernels import KVCache


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
    return _triton_call(name, x, **knobs) if kernel == "triton" else _torch_call(name, x, **knobs)


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


def _torch_call(name: str, x: Buffers, **knobs: Any) -> Call:
    method = methods.create(name, **knobs)
    n, device = x.cache.longest, x.q.device
    live = torch.ones(x.q.shape[0], 1, n, dtype=torch.bool, device=device)
    k, v = x.cache.k[:, :, :n], x.cache.v[:, :, :n]
    statistics = {name: torch.rand(*k.shape[:2], n - 1, device=device) for name in method.observes}
    state = method.start(LayerPrefix(k[:, :, :-1], v[:, :, :-1], live[..., :-1], room=1, statistics=statistics))
    step = Step(x.q, k, v, live, Scores(x.q.shape[3] ** -0.5))
    return lambda: method.attend(step, state)


def _triton_call(name: str, x: Buffers, **knobs: Any) -> Call:
    plain: dict[str, Callable[..., Tensor]] = {
        "dense": kernels.dense,
        "sparq": kernels.sparq,
        "flexgen": kernels.flexgen,
        "oracle_topk": kernels.oracle_topk,
        "lm_infinite": kernels.lm_infinite,
    }
    if name in plain:
        return lambda: plain[name](x.q, x.cache, **knobs)
    if name != "h2o":
        raise InputError(f"method '{name}' has no kernel: choose from {', '.join([*plain, 'h2o'])}, or kernel=torch")
    b, h = x.q.shape[:2]
    column = torch.rand(b, h, x.cache.longest - 1, device=x.q.device).topk(knobs["k"] + 1).indices.to(torch.int32)
    state = kernels.Heavy(column, torch.rand(column.shape, device=x.q.device))
    return lambda: kernels.h2o(x.q, x.cache, kernels.Heavy(state.column, state.score), **knobs)
