"""What every KV-cache technique implements: knobs as fields, state from `start`, a step by `attend`, its cost."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, Self, TypeVar

from torch import Tensor

from harness.attention import LayerPrefix, Step

S = TypeVar("S")


class Method(Protocol[S]):
    """A decode-time KV-cache technique: a frozen dataclass of its knobs. All that changes is in the state of `start`.

    Shape legend: harness/attention/__init__.py.
    """

    observes: ClassVar[frozenset[str]] = frozenset()
    """Prefill statistics that `start` reads (harness/attention/statistics.py)."""
    is_dense: ClassVar[bool] = False
    """True for dense attention, which is not expected to change any output."""
    oracle: ClassVar[bool] = False
    """True for a control whose choice reads K without paying for it."""
    open: ClassVar[bool] = False
    """True for kernels, whose steps may have free columns (Step.kv_lengths)."""

    def start(self, prefix: LayerPrefix) -> S:
        """State of one layer after the shared dense prefill. Must not write to the prefix."""
        ...

    def attend(self, step: Step, state: S) -> Tensor:
        """Attention output [B, H, G, D] of one decode step. May update `state`, never `step`."""
        ...

    def transfers(self, n: int, d: int) -> float:
        """Elements moved per KV head and decode step at n cached tokens and head dimension d."""
        ...

    @classmethod
    def at(cls, ratio: float, n: int, d: int, **fixed: Any) -> Self:
        """The method with its free knobs solved for dense / ratio transfers; InputError if nothing fits."""
        ...

    def prefill_mask(self, s: int) -> Tensor | None:
        """[S, S] bool mask of a prefill of the method's own; None shares the dense prefill."""
        return None
