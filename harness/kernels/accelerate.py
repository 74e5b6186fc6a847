"""Methods that decode through the kernels where they have one; the others, and what kernels refuse, stay in torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, Protocol, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step
from harness.attention.observe import ATTENTION_RECEIVED
from harness.kernels.attend import dense, lm_infinite
from harness.kernels.cache import KVCache
from harness.kernels.h2o import Heavy, h2o
from harness.kernels.require import available, require
from harness.kernels.sparq import sparq
from harness.kernels.top_weights import flexgen, oracle_topk
from harness.methods import Method
from harness.methods.dense import Dense
from harness.methods.flexgen import FlexGen
from harness.methods.h2o import H2O
from harness.methods.lm_infinite import LMInfinite
from harness.methods.oracle_topk import OracleTopK
from harness.methods.sparq import SparQ
from harness.methods.streaming import Streaming
from harness.methods.window import Window

Kernel = Literal["auto", "torch", "triton"]


class Attend(Protocol):
    """One layer's decode steps by a kernel, all knobs bound."""

    def __call__(self, q: Tensor, cache: KVCache, *, scale: float) -> Tensor:
        """Output [B, H, G, D] of q [B, H, G, D]; the newest token is in the cache already."""
        ...


@dataclass(frozen=True)
class Served:
    """What serves a method: `start` makes a layer's Attend from its prompt; `mean`: it reads the running sum of V."""

    start: Callable[[LayerPrefix], Attend]
    mean: bool = False


def _stateless(kernel: Callable[..., Tensor], *, mean: bool = False, **knobs: Any) -> Served:
    return Served(lambda _: partial(kernel, **knobs), mean)


def _sparq(m: SparQ) -> Served:
    knobs = {"r": m.r, "k": m.k, "local": m.local, "reallocate": m.reallocate}
    return _stateless(sparq, mean=m.reallocate, **knobs)


def _h2o(m: H2O) -> Served:
    return Served(lambda p: partial(h2o, state=Heavy.of(p.statistics[ATTENTION_RECEIVED]), k=m.k, local=m.local))


def _lm_infinite(m: LMInfinite) -> Served | None:
    return _stateless(lm_infinite, k=m.k, initial=m.initial) if m.initial <= m.k else None


def _flexgen(m: FlexGen) -> Served | None:
    return None if m.reallocate or m.before_softmax else _stateless(flexgen, k=m.k)


_SERVED: Mapping[type, Callable[[Any], Served | None]] = {
    Dense: lambda _: _stateless(dense),
    SparQ: _sparq,
    H2O: _h2o,
    LMInfinite: _lm_infinite,
    Streaming: _lm_infinite,
    Window: _lm_infinite,
    FlexGen: _flexgen,
    OracleTopK: lambda m: _stateless(oracle_topk, k=m.k),
}
"""By exact type: a subclass may compute something else, as LRU does of H2O."""


def served(method: Method[Any]) -> Served | None:
    """The kernel that computes the method with these very knobs, or None."""
    find = _SERVED.get(type(method))
    return find(method) if find else None


@dataclass
class Standing:
    """A layer of an accelerated method: its kernel, where each row's live tokens begin [B] int32, the mean of V."""

    kernel: Attend
    start: Tensor
    mean: MeanValue | None


@dataclass(frozen=True)
class Accelerated(Method[Standing]):
    """A method whose steps run through kernels over the engine's own buffers, K stored once."""

    method: Method[Any]
    by: Served

    @property
    def observes(self) -> frozenset[str]:  # type: ignore[override]
        """As the method."""
        return self.method.observes

    @property
    def lossless(self) -> bool:  # type: ignore[override]
        """As the method."""
        return self.method.lossless

    def start(self, prefix: LayerPrefix) -> Standing:
        """The kernel with its state, and the running sum of V if it is read."""
        return Standing(self.by.start(prefix), _dead(prefix.live), MeanValue(prefix) if self.by.mean else None)

    def attend(self, step: Step, state: Standing) -> Tensor:
        """One step; live tokens are a suffix of the columns, whatever padding or a window hides."""
        start = _dead(step.live) if step.sliding else state.start
        stop = torch.full_like(start, step.length)
        total = step.v  # any tensor: nobody reads it
        if state.mean:
            state.mean.update(step)
            total = state.mean.total
        cache = KVCache(step.k, step.v, None, total, start, stop, step.length)
        return state.kernel(step.q, cache, scale=step.scores.scale)

    def transfers(self, n: int, d: int) -> float:
        """As the method's, whose bytes the kernels move."""
        return self.method.transfers(n, d)

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """Nothing to solve: a method is solved before it is accelerated."""
        raise NotImplementedError


def _dead(live: Tensor) -> Tensor:
    """How many columns precede a row's live tokens: live [B, 1, N] -> [B] int32."""
    return (~live).sum((1, 2), dtype=torch.int32)


def accelerated(method: Method[Any], kernel: Kernel, device: torch.device, capped: bool) -> Method[Any]:
    """The method as the engine should run it: "auto" takes kernels on CUDA where they can serve it.

    Raises InputError if "triton" is demanded where it cannot run.
    """
    if kernel == "triton":
        require(device)
    wanted = kernel == "triton" or (kernel == "auto" and device.type == "cuda" and available(device))
    by = served(method)
    return Accelerated(method, by) if wanted and not capped and by else method
