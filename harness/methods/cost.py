"""Counts the bits that a decode step moves and that a cache holds: in a KV head of one layer, and in a whole model."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, Self

from harness.attention import LayerShape
from harness.methods.exemption import Exemption

ELEMENT = 16
"""Bits of an element of the cache. Codes and labels count their own bits beside it, whatever precision a run has."""


@dataclass(frozen=True)
class LayerAt:
    """Describes a layer at a decode step, as costs see it.

    `n` counts the tokens that the step sees, the newest included, whose K and V are written and then read as others
    are; `prompt` counts those that the prompt's last query saw. `layer` of `layers` is the layer's number in its model,
    `group` counts query heads per KV head.
    """

    n: int
    head_dim: int
    prompt: int
    kv_heads: int = 1
    group: int = 1
    layer: int = 0
    layers: int = 1

    @classmethod
    def of(cls, shape: LayerShape, n: int, layer: int, layers: int) -> Self:
        """Describe a layer of a model whose prompt's last token is the newest of n."""
        seen = shape.visible(n)
        return cls(seen, shape.head_dim, seen, shape.kv_heads, shape.group, layer, layers)

    def elements(self, count: float) -> float:
        """Count the bits of elements of the cache."""
        return count * ELEMENT

    def keys(self, count: float) -> float:
        """Count the bits of so many rows of K, or as many of V."""
        return count * self.head_dim * ELEMENT

    def tokens(self, count: float) -> float:
        """Count the bits of so many rows of K and of V."""
        return 2 * self.keys(count)

    @property
    def cache(self) -> float:
        """Count the bits of all rows of K and V."""
        return self.tokens(self.n)

    @property
    def newest(self) -> float:
        """Count the bits of the newest token's row of K and of V."""
        return self.tokens(1)


@dataclass(frozen=True)
class Cost:
    """Counts bits: read to choose, read to attend and written in a decode step; and held in memory between steps."""

    choose: float = 0
    attend: float = 0
    write: float = 0
    held: float = 0

    @property
    def moved(self) -> float:
        """Count what is read or written."""
        return self.choose + self.attend + self.write

    def times(self, count: int) -> Cost:
        """Count the cost of so many KV heads."""
        return Cost(self.choose * count, self.attend * count, self.write * count, self.held * count)

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.choose + other.choose, self.attend + other.attend, self.write + other.write, self.held + other.held
        )


class Costed(Protocol):
    """Says what it moves and holds, and in which layers it acts: every method does."""

    @property
    def exemption(self) -> Exemption:
        """Return the layers that stay dense."""
        ...

    @property
    def layered(self) -> bool:
        """Return True if the cost depends on a layer's number."""
        ...

    def cost(self, at: LayerAt) -> Cost:
        """Count the bits of a KV head in one decode step."""
        ...


class Stateful(Costed, Protocol):
    """Says how much its state takes in memory: every method does."""

    def state_elements(self, at: LayerAt) -> float:
        """Count the elements that the state of a KV head takes beside the cache."""
        ...


def dense_cost(at: LayerAt) -> Cost:
    """Count the bits of a dense decode step per KV head: all of K and V read, the newest token's written."""
    return Cost(attend=at.cache, write=at.newest, held=at.cache)


def dense_transfers(n: int, d: int) -> float:
    """Count the elements of a dense decode step per KV head: n tokens of K and V read, one written (2ND + 2D)."""
    return 2 * n * d + 2 * d


@dataclass(frozen=True)
class Stack:
    """Holds the attention layers of a model, and counts what a method costs over all of them."""

    layers: tuple[LayerShape, ...]
    _kinds: dict[tuple[Exemption, bool], Counter[tuple[LayerShape, bool, int]]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def cost(self, method: Costed, n: int) -> Cost:
        """Sum a method's cost over all KV heads and layers at n cached tokens.

        In a layer with a window a method acts on what the layer sees, and is charged for no more; in a layer that is
        exempt it costs what dense attention does.
        """
        total = Cost()
        for (shape, acts, layer), count in self._kinds_for(method).items():
            at = LayerAt.of(shape, n, layer, len(self.layers))
            total += (method.cost(at) if acts else dense_cost(at)).times(count * shape.kv_heads)
        return total

    def dense(self, n: int) -> Cost:
        """Sum the cost of dense attention."""
        total = Cost()
        for shape, count in Counter(self.layers).items():
            total += dense_cost(LayerAt.of(shape, n, 0, len(self.layers))).times(count * shape.kv_heads)
        return total

    def state(self, method: Stateful, n: int) -> float:
        """Sum the elements that a method's states take beside the cache, in the layers that it acts in."""
        return sum(count * at.kv_heads * method.state_elements(at) for at, count in self.acted_on(method, n))

    def acted_on(self, method: Costed, n: int) -> list[tuple[LayerAt, int]]:
        """List the kinds of layers that a method acts in, at n cached tokens, with how many there are of each."""
        return [
            (LayerAt.of(shape, n, layer, len(self.layers)), count)
            for (shape, acts, layer), count in self._kinds_for(method).items()
            if acts
        ]

    def acting(self, exemption: Exemption) -> tuple[LayerShape, ...]:
        """Return the layers that are not exempt."""
        return tuple(s for i, s in enumerate(self.layers) if exemption.acts_in(i, s.window is not None))

    def _kinds_for(self, method: Costed) -> Mapping[tuple[LayerShape, bool, int], int]:
        """Count the layers that cost the same: most models have one or two kinds."""
        key = method.exemption, method.layered
        if key not in self._kinds:
            acts = [key[0].acts_in(i, s.window is not None) for i, s in enumerate(self.layers)]
            numbers = range(len(self.layers)) if method.layered else [0] * len(self.layers)
            self._kinds[key] = Counter(zip(self.layers, acts, numbers, strict=True))
        return self._kinds[key]


def transfers(method: Costed, layers: Sequence[LayerShape], n: int) -> float:
    """Count the elements that a decode step moves over all KV heads and layers at n cached tokens."""
    return Stack(tuple(layers)).cost(method, n).moved / ELEMENT
