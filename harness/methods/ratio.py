"""Solves a method's knobs for a ratio of bytes, moved or held, over all layers of a model, as they are."""

from __future__ import annotations

import dataclasses
import math
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, TypeVar

from harness.attention import LayerShape
from harness.errors import InputError
from harness.methods.cost import ELEMENT, Cost, Costed, Stack
from harness.methods.exemption import Exemption
from harness.methods.knob_types import floor

M = TypeVar("M", bound=Costed)
EXACT = 0.02
"""Share of the budget that a method may leave unused although its knob could not be larger."""
SHARES = 1_000_000
"""Steps in which a share between 0 and 1 is solved."""
Of = Literal["moved", "held"]
"""What is bounded: what a decode step moves, or what the cache holds between steps."""


@dataclass(frozen=True)
class Budget:
    """Bounds what all layers and KV heads together move in a decode step, or hold: dense's at n tokens over `ratio`.

    The same ratio is the same share of bytes under every method and on every architecture: windows, widths and KV heads
    of each layer count as they are, and layers that a method leaves dense as dense.
    """

    ratio: float
    n: int
    layers: tuple[LayerShape, ...]
    of: Of = "moved"

    @cached_property
    def allowed(self) -> float:
        """Return the most elements that may be moved, or held."""
        return self._elements(self._stack.dense(self.n)) / self.ratio

    @property
    def tokens(self) -> int:
        """Return the most tokens that a layer sees: a method that keeps as many drops none."""
        return max(layer.visible(self.n) for layer in set(self.layers))

    @property
    def width(self) -> int:
        """Return the largest head dimension of a layer: a method that reads as many channels reads all."""
        return max(layer.head_dim for layer in set(self.layers))

    @property
    def words(self) -> str:
        """Say in which model and at which length: "at 1000 tokens in 18 layers of head dimension 256, 15 see 512"."""
        widths = " and ".join(str(d) for d in sorted({layer.head_dim for layer in self.layers}))
        fewer = Counter(layer.visible(self.n) for layer in self.layers if layer.visible(self.n) < self.n)
        seen = "".join(f", {count} see {tokens}" for tokens, count in fewer.items())
        return f"at {self.n} tokens in {len(self.layers)} layers of head dimension {widths}{seen}"

    @property
    def may(self) -> str:
        """Say what is bounded, and by how much: "a step may move 1,000 elements"."""
        subject = "a step may move" if self.of == "moved" else "the cache may hold"
        return f"{subject} {self.allowed:,.0f} elements"

    def spent(self, method: Costed) -> float:
        """Count the elements that a method moves in a step, or holds."""
        return self._elements(self._stack.cost(method, self.n))

    def acting(self, exemption: Exemption) -> Budget:
        """Return what is left for the layers that are not exempt, once the others have taken what dense takes."""
        layers = self._stack.acting(exemption)
        if len(layers) == len(self.layers):
            return self
        dense = self._elements(Stack(layers).dense(self.n))
        left = self.allowed - (self._elements(self._stack.dense(self.n)) - dense)
        return Budget(dense / left if left > 0 else math.inf, self.n, layers, self.of)

    @property
    def keys(self) -> int:
        """Count the entries of K over all layers."""
        return sum(s.kv_heads * s.head_dim * s.visible(self.n) for s in self.layers)

    def why_whole(self, spent: float) -> str:
        """Say, where memory is bounded, that a method which holds so many elements keeps the whole cache; else ""."""
        whole = self.of == "held" and spent >= self._elements(self._stack.dense(self.n))
        return ", for the whole cache stays in memory" if whole else ""

    def chosen_with(self, method: Costed) -> float:
        """Count the elements that a method reads in a step to choose."""
        return self._stack.cost(method, self.n).choose / ELEMENT

    def _elements(self, cost: Cost) -> float:
        return (cost.moved if self.of == "moved" else cost.held) / ELEMENT

    @cached_property
    def _stack(self) -> Stack:
        return Stack(self.layers)


def largest_share(build: Callable[..., M], knob: str, budget: Budget, **fixed: Any) -> M:
    """Find the method with the largest `knob` of 0 to 1, in steps of a millionth, as `largest_knob` does."""

    def of(**knobs: Any) -> M:
        return build(**{**knobs, knob: knobs[knob] / SHARES})

    return largest_knob(of, knob, (1, SHARES), budget, f"/{SHARES}", **fixed)


def largest_knob(
    build: Callable[..., M], knob: str, bounds: tuple[int, int], budget: Budget, unit: str = "", **fixed: Any
) -> M:
    """Find the method with the largest integer `knob` within bounds that keeps to the budget.

    The cost must not fall as the knob grows. `unit` follows the knob's value in messages. Raises InputError when even
    the lower bound moves too much, or the upper one too little: the other knobs fix another ratio.
    """

    def spent(value: int) -> float:
        return budget.spent(build(**{**fixed, knob: value}))

    low, high = bounds[0], max(bounds)
    more = " and no more: raise the other knobs, or let them be solved"
    too_little, whole = spent(high) < (1 - EXACT) * budget.allowed, budget.why_whole(spent(low))
    for value, out_of_reach, fix in ((low, spent(low) > budget.allowed, whole), (high, too_little, more)):
        if out_of_reach:
            also = "".join(f"{name}={given}, " for name, given in fixed.items() if name in ("r", "k"))
            verb = "moves" if budget.of == "moved" else "holds"
            raise InputError(f"{budget.may}, with {also}{knob}={value}{unit} it {verb} {spent(value):,.0f}{fix}")
    return build(**{**fixed, knob: _largest(lambda value: spent(value) <= budget.allowed, low, high)})


def rank_and_tokens(build: type[M], budget: Budget, **fixed: Any) -> M:
    """Solve a method that scores in r dimensions and attends to k tokens: r for a given k, k for a given r.

    With neither, half of the budget goes to each: r channels of K are at most K / ratio (r = D / ratio where all layers
    are alike), and k takes what is left, near S / (2 ratio). Raises InputError as above.
    """
    given = without_null(fixed)
    left = budget.acting(exemption_of(build, fixed))
    if not left.layers:
        raise InputError("every layer is dense: leave dense_layers and layers at a setting under which some are not")
    if "k" in given:
        return largest_knob(build, "r", (1, budget.width), budget, **given)
    given.setdefault("r", _half_for_choosing(build, left, given))
    return largest_knob(build, "k", (_least_tokens(build, given), budget.tokens), budget, **given)


def without_null(fixed: Mapping[str, Any]) -> dict[str, Any]:
    """Return the knobs that are set: one that is null is to be solved, or has its default."""
    return {knob: value for knob, value in fixed.items() if value is not None}


def exemption_of(build: type[Any], fixed: Mapping[str, Any]) -> Exemption:
    """Return the layers that a method leaves dense, by its defaults and the knobs that are fixed."""
    defaults = {field.name: field.default for field in dataclasses.fields(build)}
    return Exemption(*(fixed.get(knob, defaults[knob]) for knob in ("dense_layers", "layers")))


def _half_for_choosing(build: type[Any], budget: Budget, given: Mapping[str, Any]) -> int:
    """Find the largest r, at least 1, with which choosing reads at most 1 / ratio of the bits of all layers' keys.

    The budget is of layers none of which is exempt.
    """
    fixed = {**given, "k": _least_tokens(build, given), **dataclasses.asdict(Exemption())}
    most = budget.keys / budget.ratio
    return _largest(lambda r: budget.chosen_with(build(**{**fixed, "r": r})) <= most, 1, budget.width)


def _least_tokens(build: type[Any], given: Mapping[str, Any]) -> int:
    """Return the smallest k, at least 1, that other knobs leave room for."""
    return max(1, floor(build, "k", **given))


def _largest(fits: Callable[[int], bool], low: int, high: int) -> int:
    """Find the largest number up to `high` that fits, where all below it do; `low` if none does."""
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low
