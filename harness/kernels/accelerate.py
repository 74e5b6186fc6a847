"""Methods that decode through the kernels where they have one; the others, and what kernels refuse, stay in torch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step
from harness.kernels.attend import dense, lm_infinite
from harness.kernels.cache import KVCache
from harness.kernels.require import available, require
from harness.kernels.sparq import sparq
from harness.kernels.top_weights import flexgen, oracle_topk
from harness.methods import Method
from harness.methods.dense import Dense
from harness.methods.flexgen import FlexGen
from harness.methods.lm_infinite import LMInfinite
from harness.methods.oracle_topk import OracleTopK
from harness.methods.sparq import SparQ

Kernel = Literal["auto", "torch", "triton"]


@singledispatch
def decode_step(method: Method[Any], q: Tensor, cache: KVCache, scale: float) -> Tensor:
    """Attention output [B, H, G, D] of q [B, H, G, D] over a cache, by kernels. NotImplementedError without one."""
    raise NotImplementedError(f"{type(method).__name__} has no kernel")


@decode_step.register
def _(_method: Dense, q: Tensor, cache: KVCache, scale: float) -> Tensor:
    return dense(q, cache, scale=scale)


@decode_step.register
def _(method: SparQ, q: Tensor, cache: KVCache, scale: float) -> Tensor:
    r, k, local = method.r, method.k, method.local
    return sparq(q, cache, r=r, k=k, local=local, reallocate=method.reallocate, scale=scale)


@decode_step.register
def _(method: LMInfinite, q: Tensor, cache: KVCache, scale: float) -> Tensor:
    return lm_infinite(q, cache, k=method.k, initial=method.initial, scale=scale)


@decode_step.register
def _(method: FlexGen, q: Tensor, cache: KVCache, scale: float) -> Tensor:
    return flexgen(q, cache, k=method.k, scale=scale)


@decode_step.register
def _(method: OracleTopK, q: Tensor, cache: KVCache, scale: float) -> Tensor:
    return oracle_topk(q, cache, k=method.k, scale=scale)


def has_kernel(method: Method[Any]) -> bool:
    """Whether all of the method's knobs are served by kernels."""
    plain = not (isinstance(method, FlexGen) and (method.reallocate or method.before_softmax))
    return plain and decode_step.dispatch(type(method)) is not decode_step.dispatch(object)


@dataclass(frozen=True)
class Accelerated(Method[Any]):
    """A method whose steps run through kernels over the engine's own buffers, K stored once."""

    method: Method[Any]

    @property
    def lossless(self) -> bool:  # type: ignore[override]
        """As the method."""
        return self.method.lossless

    def start(self, prefix: LayerPrefix) -> MeanValue:
        """The running sum of V, which some kernels read."""
        return MeanValue(prefix)

    def attend(self, step: Step, state: MeanValue) -> Tensor:
        """One step; live tokens are a suffix of the columns, whatever padding or a window hides."""
        state.update(step)
        start = (~step.live).sum((1, 2), dtype=torch.int32)
        stop = torch.full_like(start, step.length)
        cache = KVCache(step.k, step.v, None, state.total, start, stop, step.length)
        return decode_step(self.method, step.q, cache, step.scores.scale)

    def transfers(self, n: int, d: int) -> float:
        """As the method's, whose bytes the kernels move."""
        return self.method.transfers(n, d)

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """Nothing to solve: a method is solved before it is accelerated."""
        raise NotImplementedError


def accelerated(method: Method[Any], kernel: Kernel, device: torch.device, capped: bool) -> Method[Any]:
    """The method as the engine should run it: "auto" takes kernels on CUDA where they can serve it.

    Raises InputError if "triton" is demanded where it cannot run.
    """
    if kernel == "triton":
        require(device)
    wanted = kernel == "triton" or (kernel == "auto" and device.type == "cuda" and available(device))
    return Accelerated(method) if wanted and not capped and has_kernel(method) else method
