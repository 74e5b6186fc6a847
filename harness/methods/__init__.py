"""The techniques: one file each, named like the method. `create` finds them by file; nothing else lists them."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from typing import Any, ClassVar, Protocol, Self, TypeVar

from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.errors import InputError

S = TypeVar("S")


class Method(Protocol[S]):
    """A decode-time KV-cache technique: a frozen dataclass of its knobs. All that changes is in the state of `start`.

    Shape legend: harness/attention/__init__.py.
    """

    observes: ClassVar[frozenset[str]] = frozenset()
    """Prefill statistics that `start` reads (harness/attention/observe.py)."""
    lossless: ClassVar[bool] = False
    """True for dense attention, which is not expected to change any output."""
    clairvoyant: ClassVar[bool] = False
    """True for a control whose choice reads K without paying for it."""
    open: ClassVar[bool] = False
    """True for kernels, whose steps may have free columns (Step.stop)."""

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


def names() -> list[str]:
    """Every method, in alphabetical order."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.name.startswith("_"))


def find(name: str) -> type[Method[Any]]:
    """The class that a method's file exports. Raises InputError for an unknown name."""
    if name not in names():
        raise InputError(f"unknown method '{name}': choose from {', '.join(names())}")
    module = importlib.import_module(f"{__name__}.{name}")
    (exported,) = module.__all__
    return getattr(module, exported)  # type: ignore[no-any-return]


def knobs(cls: type[Method[Any]]) -> dict[str, Any]:
    """Knob names and defaults; dataclasses.MISSING where there is no default."""
    return {f.name: f.default for f in dataclasses.fields(cls)}  # type: ignore[arg-type]


def create(name: str, **settings: Any) -> Method[Any]:
    """A method by name, such as create("sparq", r=8, k=16, local=4). Raises InputError for a bad name or knob."""
    cls = find(name)
    check_knobs(name, settings)
    missing = [k for k, default in knobs(cls).items() if default is dataclasses.MISSING and k not in settings]
    if missing:
        raise InputError(f"method '{name}' needs {' and '.join(missing)}")
    return cls(**settings)


def check_knobs(name: str, settings: dict[str, Any]) -> None:
    """Raise InputError when a setting is no knob of the method."""
    known = knobs(find(name))
    for knob in settings:
        if knob not in known:
            has = f"its knobs are {', '.join(known)}" if known else "it has none"
            raise InputError(f"method '{name}' has no knob '{knob}': {has}")


def solve(name: str, ratio: float, n: int, d: int, **fixed: Any) -> Method[Any]:
    """The method at a compression ratio; `fixed` knobs are kept. Raises InputError if the ratio is out of reach."""
    check_knobs(name, fixed)
    try:
        return find(name).at(ratio, n, d, **fixed)
    except InputError as error:
        raise InputError(f"{name} cannot reach ratio {ratio:g} at {n} tokens and head dimension {d}: {error}") from None


def settings(method: Method[Any]) -> dict[str, Any]:
    """The knobs of a method as a plain dictionary."""
    return dataclasses.asdict(method)  # type: ignore[call-overload,no-any-return]
