"""Solves a method's knobs for a compression ratio over all layers of a model, as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.cost import Costed, dense_transfers, transfers_of_kinds
from harness.methods.knob_types import floor

M = TypeVar("M", bound=Costed)
EXACT = 0.02
"""Share of the budget that a method may leave unused although its knob could not be larger."""


@dataclass(frozen=True)
class Budget:
    """Bounds what a decode step may move over all layers and KV heads: dense's transfers at n tokens over `ratio`.

    The same ratio is the same share of bytes under every method and on every architecture: windows, widths and KV heads
    of each layer count as they are.
    """

    ratio: float
    n: int
    layers: tuple[LayerShape, ...]

    @cached_property
    def allowed(self) -> float:
        """Return the most elements that a step may move."""
        kinds = self._kinds.items()
        dense = (count * s.kv_heads * dense_transfers(s.visible(self.n), s.head_dim) for s, count in kinds)
        return sum(dense) / self.ratio

    @property
    def tokens(self) -> int:
        """Return the most tokens that a layer sees: a method that keeps as many drops none."""
        return max(layer.visible(self.n) for layer in self._kinds)

    @property
    def width(self) -> int:
        """Return the largest head dimension of a layer: a method that reads as many channels reads all."""
        return max(layer.head_dim for layer in self._kinds)

    @property
    def words(self) -> str:
        """Say in which model and at which length: "at 1000 tokens in 18 layers of head dimension 256, 15 see 512"."""
        widths = " and ".join(str(d) for d in sorted({layer.head_dim for layer in self.layers}))
        fewer = Counter(layer.visible(self.n) for layer in self.layers if layer.visible(self.n) < self.n)
        seen = "".join(f", {count} see {tokens}" for tokens, count in fewer.items())
        return f"at {self.n} tokens in {len(self.layers)} layers of head dimension {widths}{seen}"

    def moved(self, method: Costed) -> float:
        """Count what a step moves under a method."""
        return transfers_of_kinds(method, self._kinds, self.n)

    def keys(self, r: int) -> int:
        """Count the entries of K over all layers if r channels of it are read."""
        kinds = self._kinds.items()
        return sum(count * s.kv_heads * min(r, s.head_dim) * s.visible(self.n) for s, count in kinds)

    @cached_property
    def _kinds(self) -> Counter[LayerShape]:
        return Counter(self.layers)


def largest_knob(build: Callable[..., M], knob: str, bounds: tuple[int, int], budget: Budget, **fixed: Any) -> M:
    """Find the method with the largest integer `knob` within bounds that keeps to the budget.

    Transfers must not fall as the knob grows. Raises InputError when even the lower bound moves too much, or the upper
    one too little: the other knobs fix another ratio.
    """

    def moved(value: int) -> float:
        return budget.moved(build(**{**fixed, knob: value}))

    low, high = bounds[0], max(bounds)
    for value, out_of_reach, fix in (
        (low, moved(low) > budget.allowed, ""),
        (
            high,
            moved(high) < (1 - EXACT) * budget.allowed,
            " and no more: raise the other knobs, or let them be solved",
        ),
    ):
        if out_of_reach:
            also = "".join(f"{name}={given}, " for name, given in fixed.items() if name in ("r", "k"))
            with_these = f"with {also}{knob}={value} it moves {moved(value):,.0f}{fix}"
            raise InputError(f"a step may move {budget.allowed:,.0f} elements, {with_these}")
    return build(**{**fixed, knob: _largest(lambda value: moved(value) <= budget.allowed, low, high)})


def rank_and_tokens(build: type[M], budget: Budget, **fixed: Any) -> M:
    """Solve a method that scores in r dimensions and attends to k tokens: r for a given k, k for a given r.

    With neither, half of the budget goes to each: r channels of K are at most K / ratio (r = D / ratio where all layers
    are alike), and k takes what is left, near S / (2 ratio). Raises InputError as above.
    """
    given = {knob: value for knob, value in fixed.items() if value is not None}
    if "k" in given:
        return largest_knob(build, "r", (1, budget.width), budget, **given)
    given.setdefault("r", _half_for_choosing(budget))
    return largest_knob(build, "k", (floor(build, "k", **given), budget.tokens), budget, **given)


def _half_for_choosing(budget: Budget) -> int:
    """Find the largest r, at least 1, for which r channels of all layers' keys are at most 1 / ratio of the keys."""
    most = budget.keys(budget.width) / budget.ratio
    return _largest(lambda r: budget.keys(r) <= most, 1, budget.width)


def _largest(fits: Callable[[int], bool], low: int, high: int) -> int:
    """Find the largest number up to `high` that fits, where all below it do; `low` if none does."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
