"""Finds the kernel that computes a method: every operator folder declares in BINDINGS which methods it serves."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Meter, Step
from harness.kernels.shared.cache import KVCache
from harness.kernels.shared.device import Kernel, is_wanted
from harness.methods import Method


class LayerKernel(Protocol):
    """Computes the decode steps of one layer by a kernel whose knobs and state are bound."""

    def __call__(self, q: Tensor, cache: KVCache, *, scale: float) -> Tensor:
        """Return the output [B, H, G, D] of q [B, H, G, D]; the newest token is in the cache already."""
        ...


@dataclass
class LayerState:
    """Holds a layer's kernel, the columns before each row's live tokens [B] int32, and the mean of V if it is read."""

    kernel: LayerKernel
    padding: Tensor
    mean: MeanValue | None


Bind = Callable[[Any], "KernelBinding | None"]
"""Binds a method's knobs to a kernel; None where the kernel does not take them."""


@dataclass(frozen=True)
class KernelBinding:
    """Computes a method's decode steps by its kernel, knobs bound, over buffers in which K is stored once.

    `for_layer` makes a layer's kernel from its prompt; `reads_mean` says that the kernel reads the running sum of V;
    `meter_of` finds the meter that the kernel of a measured method keeps.
    Unlike a method, it takes steps whose k and v have free columns behind the newest token (Step.kv_lengths): its
    launches do not depend on how much is decoded, so that a recorded step can be replayed.
    """

    for_layer: Callable[[LayerPrefix], LayerKernel]
    reads_mean: bool = False
    meter_of: Callable[[Any], Meter | None] = lambda _: None

    @classmethod
    def stateless(cls, kernel: Callable[..., Tensor], *, reads_mean: bool = False, **knobs: Any) -> KernelBinding:
        """Bind knobs to a kernel that carries nothing from step to step."""
        return cls(lambda _: partial(kernel, **knobs), reads_mean)

    def start(self, prefix: LayerPrefix) -> LayerState:
        """Return the state of one layer after the shared dense prefill."""
        mean = MeanValue(prefix) if self.reads_mean else None
        return LayerState(self.for_layer(prefix), _padding(prefix.mask), mean)

    def attend(self, step: Step, state: LayerState) -> Tensor:
        """Compute one step's output [B, H, G, D]; what padding or a window hides must precede all live columns."""
        padding = _padding(step.mask) if step.sliding else state.padding
        kv_lengths = torch.full_like(padding, step.length) if step.kv_lengths is None else step.kv_lengths
        if state.mean and step.sliding:
            state.mean.update(step)
        elif state.mean:
            state.mean.add(step.newest_v)
        v_sum = state.mean.total if state.mean else None
        layer = KVCache(step.k, step.v, None, v_sum, padding, kv_lengths, step.length)
        return state.kernel(step.q, layer, scale=step.scores.scale)

    def meter(self, state: LayerState) -> Meter | None:
        """Return the meter of a layer, of a measured method."""
        return self.meter_of(state.kernel)


def find_binding(method: Method[Any]) -> KernelBinding | None:
    """Find the kernel that computes the method with these very knobs; None if there is none."""
    bind = find_bind(type(method))
    return bind(method) if bind else None


def find_bind(method: type) -> Bind | None:
    """Find what binds a method's class to its kernel; None if there is nothing.

    A subclass is not served by its parent's kernel, for it may compute something else, as LRU does of H2O; unless the
    parent has declared `start` and `attend` final and they are what the subclass runs: it then chooses alone.
    """
    served = (base for base in method.__mro__ if base in bindings() and (base is method or _runs_as(method, base)))
    return next((bindings()[base] for base in served), None)


def choose_binding(method: Method[Any], kernel: Kernel, device: torch.device, fits: bool) -> KernelBinding | None:
    """Return the kernel that the engine should run for the method; None if the method runs in torch.

    `fits`: the kernels take the model's attention. Raises InputError if `kernel` is triton where Triton cannot run.
    """
    return find_binding(method) if is_wanted(kernel, device) and fits else None


@cache
def bindings() -> Mapping[type, Bind]:
    """Map every class that some kernel declares to serve to the function that binds its knobs."""
    found: dict[type, Bind] = {}
    for folder in pkgutil.iter_modules([str(Path(__file__).parent)], "harness.kernels."):
        if folder.ispkg:
            found |= getattr(importlib.import_module(folder.name), "BINDINGS", {})
    return found


def _runs_as(method: type, base: Any) -> bool:
    """Return True if the base's steps are declared to be those of all its subclasses, and are the method's."""
    return all(
        getattr(getattr(base, step), "__final__", False) and getattr(method, step) is getattr(base, step)
        for step in ("start", "attend")
    )


def _padding(mask: Tensor) -> Tensor:
    """Count the columns that precede a row's live tokens: mask [B, 1, N] -> [B] int32."""
    return (~mask).sum((1, 2), dtype=torch.int32)
