"""Which kernel serves a method, its knobs bound."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from torch import Tensor

from harness.attention import LayerPrefix
from harness.attention.statistics import ATTENTION_RECEIVED
from harness.kernels.attend import dense, lm_infinite
from harness.kernels.cache import KVCache
from harness.kernels.h2o import HeavyHitters, h2o
from harness.kernels.sparq import sparq
from harness.kernels.top_weights import flexgen, oracle_topk
from harness.methods import Method
from harness.methods.controls.dense import Dense
from harness.methods.controls.oracle_topk import OracleTopK
from harness.methods.eviction.h2o import H2O
from harness.methods.eviction.lm_infinite import LMInfinite
from harness.methods.eviction.streaming import Streaming
from harness.methods.eviction.window import Window
from harness.methods.selection.flexgen import FlexGen
from harness.methods.selection.sparq import SparQ


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
    return Served(lambda p: partial(h2o, state=HeavyHitters.of(p.statistics[ATTENTION_RECEIVED]), k=m.k, local=m.local))


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
