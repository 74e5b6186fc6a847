"""Methods that decode through the kernels where they have one; the others, and what kernels refuse, stay in torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, MeanValue, Step
from harness.attention.statistics import Observe, observe
from harness.kernels.cache import KVCache
from harness.kernels.received import observe_by_kernel
from harness.kernels.require import available, require
from harness.kernels.served import Attend, Served, served
from harness.methods import Method

Kernel = Literal["auto", "torch", "triton"]


@dataclass
class LayerKernel:
    """A layer of an accelerated method: its kernel, where each row's live tokens begin [B] int32, the mean of V."""

    kernel: Attend
    start: Tensor
    mean: MeanValue | None


@dataclass(frozen=True)
class Accelerated(Method[LayerKernel]):
    """A method whose steps run through kernels over the engine's own buffers, K stored once."""

    open: ClassVar[bool] = True

    method: Method[Any]
    by: Served

    @property
    def observes(self) -> frozenset[str]:  # type: ignore[override]
        """As the method."""
        return self.method.observes

    @property
    def is_dense(self) -> bool:  # type: ignore[override]
        """As the method."""
        return self.method.is_dense

    def start(self, prefix: LayerPrefix) -> LayerKernel:
        """The kernel with its state, and the running sum of V if it is read."""
        return LayerKernel(self.by.start(prefix), _dead(prefix.mask), MeanValue(prefix) if self.by.mean else None)

    def attend(self, step: Step, state: LayerKernel) -> Tensor:
        """One step; live tokens are a suffix of the columns, whatever padding or a window hides."""
        start = _dead(step.mask) if step.sliding else state.start
        stop = torch.full_like(start, step.length) if step.kv_lengths is None else step.kv_lengths
        total = step.v  # any tensor: nobody reads it
        if state.mean and step.sliding:
            state.mean.update(step)
        elif state.mean:
            state.mean.add(step.newest_v)
        if state.mean:
            total = state.mean.total
        cache = KVCache(step.k, step.v, None, total, start, stop, step.length)
        return state.kernel(step.q, cache, scale=step.scores.scale)

    def kept_tokens(self, n: int) -> int:
        """Keep what the method keeps."""
        return self.method.kept_tokens(n)

    def transfers(self, n: int, d: int) -> float:
        """As the method's, whose bytes the kernels move."""
        return self.method.transfers(n, d)

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """Nothing to solve: a method is solved before it is accelerated."""
        raise NotImplementedError


def _dead(mask: Tensor) -> Tensor:
    """How many columns precede a row's live tokens: mask [B, 1, N] -> [B] int32."""
    return (~mask).sum((1, 2), dtype=torch.int32)


def accelerated(method: Method[Any], kernel: Kernel, device: torch.device, fits: bool) -> Method[Any]:
    """The method as the engine should run it: through its kernel, if it has one and the architecture `fits` kernels.

    "auto" takes kernels on CUDA. Raises InputError if "triton" is demanded where it cannot run.
    """
    by = served(method)
    return Accelerated(method, by) if _wanted(kernel, device) and fits and by else method


def observing(kernel: Kernel, device: torch.device) -> Observe:
    """How the engine should gather the prompt's statistics. Raises InputError as `accelerated`."""
    return observe_by_kernel if _wanted(kernel, device) else observe


def _wanted(kernel: Kernel, device: torch.device) -> bool:
    if kernel == "triton":
        require(device)
    return kernel == "triton" or (kernel == "auto" and device.type == "cuda" and available(device))
