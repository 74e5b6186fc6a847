"""Defines what every KV-cache technique implements: knobs as fields, state from `start`, `attend`, its cost."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar

from torch import Tensor

from harness.attention import Attended, LayerPrefill, LayerPrefix, Meter, Projections, Step, attend_prompt
from harness.attention.calibration import Calibrator
from harness.attention.compressor import Compressor
from harness.attention.statistics import Statistic
from harness.methods.about import About
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.exemption import DenseLayers, Exemption, Layers
from harness.methods.knob_types import check_types
from harness.methods.ratio import Budget

S = TypeVar("S")
Need = Literal["rope", "calibration", "weights", "compress"]
"""What a method must be given besides the cache.

A layer's rotary embedding, prompts to learn from, the weights, a compression that another package computes.
"""


@dataclass(frozen=True)
class Method(ABC, Generic[S]):
    """Computes the attention of decode steps: a frozen dataclass of knobs, all that changes is in the state of `start`.

    Knobs are checked by their types when a method is made (harness/methods/knob_types.py), which raises InputError. Two
    belong to every method, and the engine heeds them: `dense_layers` stay dense, as do those with a window where
    `layers` is "full". Shape legend: harness/attention/__init__.py.
    """

    about: ClassVar[About]
    """Title, source and access pattern of the technique."""
    is_dense: ClassVar[bool] = False
    """True for dense attention, which is not expected to change any output."""
    oracle: ClassVar[bool] = False
    """True for a control whose choice reads K without paying for it."""
    simulated: ClassVar[bool] = False
    """True where choosing is charged as an index is said to read, which is not what is read here."""
    rounds_at_start: ClassVar[bool] = False
    """True if rounding decides what `start` keeps, so that comparisons in another type start in the cache's type."""
    layered: ClassVar[bool] = False
    """True if the cost depends on the layer's number."""
    excused: ClassVar[Mapping[str, str]] = {}
    """Laws (tests/methods, by their tests' names) that the definition cannot meet, with the reason."""

    dense_layers: DenseLayers = field(default=0, kw_only=True)
    layers: Layers = field(default="all", kw_only=True)

    def __post_init__(self) -> None:
        check_types(self)

    @abstractmethod
    def start(self, prefix: LayerPrefix) -> S:
        """Return the state of one layer after the shared dense prefill. Must not write to the prefix."""

    @abstractmethod
    def attend(self, step: Step, state: S) -> Tensor:
        """Compute the attention output [B, H, G, D] of one decode step. May update `state`, never `step`."""

    @abstractmethod
    def cost(self, at: LayerAt) -> Cost:
        """Count the bits that a KV head moves in a decode step and holds; a plan's estimate if they are `measured`."""

    @classmethod
    @abstractmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve the free knobs so that all layers together keep to the budget. Raises InputError if nothing fits."""

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the prefill's statistics that `start` reads; a class attribute where no knob decides them."""
        return frozenset()

    @property
    def calibrator(self) -> Calibrator[Any] | None:
        """Return what the method learns from prompts beforehand, and starts from; None if it learns nothing."""
        return None

    @property
    def compressor(self) -> Compressor | None:
        """Return the compression of another package that `start` asks for as `prefix.compress`; None without one."""
        return None

    @property
    def needs(self) -> frozenset[Need]:
        """Return what the method must be given besides the cache."""
        return frozenset(() if self.calibrator is None else ("calibration",))

    @property
    def reads_inputs(self) -> bool:
        """Return True if the hidden states that enter attention are learnt from or observed."""
        learnt = self.calibrator is not None and self.calibrator.reads_inputs
        return learnt or any(statistic.reads_inputs for statistic in self.observes)

    @property
    def measured(self) -> bool:
        """Return True if what a step moves depends on the data: tables then report what `meter` counted."""
        return False

    def meter(self, state: S) -> Meter | None:
        """Return the meter that a measured method keeps in a layer's state."""
        return None

    @property
    def exemption(self) -> Exemption:
        """Return the layers that stay dense."""
        return Exemption(self.dense_layers, self.layers)

    @property
    def resolved(self) -> Self:
        """Return the same method with knobs that were left null set to what they stand for."""
        return self

    def state_elements(self, at: LayerAt) -> float:
        """Count the elements that the state of a KV head takes here beside the cache, with which memory is planned."""
        beside = 0 if self.owns_cache else at.cache
        return max(0.0, self.cost(at).held - beside) / ELEMENT

    def scored(self, at: LayerAt) -> float:
        """Count the entries of a KV head's index among which it chooses: one per token, unless one stands for several.

        This and `coded` say what takes time beside bytes.
        """
        return at.n

    def coded(self, at: LayerAt) -> float:
        """Count the elements that a KV head reads back from codes in a step: all of a cache of the method's own."""
        return at.cache / ELEMENT if self.owns_cache else 0.0

    def transfers(self, n: int, d: int) -> float:
        """Count the elements that a lone KV head of one query head moves at n cached tokens and head dimension d."""
        return self.cost(LayerAt(n, d, prompt=n)).moved / ELEMENT

    def reweigh(self, weights: Sequence[Projections], learnt: Sequence[Any] = ()) -> Sequence[Projections]:
        """Return what stands in for each layer's weights of K and V; asked once, of methods that need "weights".

        `learnt` is what the calibrator made of each layer, if there is one. `start` finds the layer's weights in
        `prefix.weights`, `prefill` in `prompt.weights`. While a method with a prefill of its own runs, prompt and
        decode steps, the model runs with them.
        """
        return weights

    @property
    def owns_cache(self) -> bool:
        """Return True if the state holds K and V: of a step, the newest token alone may then be read exactly."""
        return False

    @property
    def own_prefill(self) -> bool:
        """Return True if the method has a prefill of its own; all others share the dense one."""
        return False

    def prefill(self, prompt: LayerPrefill) -> Attended:
        """Compute the attention of one layer's prompt, and its density; asked of methods with a prefill of their own.

        Nothing of size S x S may be held: `attend_prompt` asks for a pattern in blocks of queries.
        """
        return attend_prompt(prompt)
