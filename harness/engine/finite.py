"""Numbers that are not finite: told at once, and traced to the layer where they appear."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.engine.model import ForwardMode, LayerCall, Model


class NotFiniteError(ArithmeticError):
    """A model's logits were NaN or infinite."""


def refuse_not_finite(likelihoods: Sequence[float]) -> None:
    """Raise NotFiniteError unless all are finite: one NaN or +Inf among the logits makes them all NaN."""
    if not all(map(math.isfinite, likelihoods)):
        raise NotFiniteError("the logits are not finite (NaN or Inf)")


class Watch:
    """A model that notes where the first number that is not finite passes by; `place` says so."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.place = "after the last attention layer"

    @property
    def device(self) -> torch.device:
        """Where the model takes its input."""
        return self._model.device

    @property
    def replayable(self) -> bool:
        """False: what passes by is looked at."""
        return False

    @property
    def capped(self) -> bool:
        """As Model.capped."""
        return self._model.capped

    def forward(self, tokens: Tensor, positions: Tensor, mode: ForwardMode, last: Tensor | None = None) -> Tensor:
        """As Model.forward."""
        return self._model.forward(tokens, positions, _Watched(mode, self), last)

    def note(self, place: str) -> None:
        """Keep the first place."""
        if not self.place.startswith("layer"):
            self.place = place


@dataclass(frozen=True)
class _Watched:
    """A mode whose inputs and outputs are looked at."""

    mode: ForwardMode
    watch: Watch

    @property
    def cached(self) -> int:
        return self.mode.cached

    def attend(self, call: LayerCall) -> Tensor:
        if not all(torch.isfinite(part).all() for part in (call.q, call.k, call.v)):
            self.watch.note(f"layer {call.layer}, in the queries, keys or values")
        output = self.mode.attend(call)
        if not torch.isfinite(output).all():
            self.watch.note(f"layer {call.layer}, in the attention output")
        return output
