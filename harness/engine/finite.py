"""Stops at numbers that are not finite, and finds the layer in which they appear first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention import Projections
from harness.attention.compressor import Compress, Compressor
from harness.engine.model import ForwardMode, LayerCall, Model


class NotFiniteError(ArithmeticError):
    """Says that a model's logits were NaN or infinite."""


def check_finite(likelihoods: Sequence[float]) -> None:
    """Raise NotFiniteError unless all are finite: one NaN or +Inf among the logits makes them all NaN."""
    if not all(map(math.isfinite, likelihoods)):
        raise NotFiniteError("the logits are not finite (NaN or Inf)")


class WatchedModel:
    """Runs a model, and notes where the first number that is not finite appears."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._first: str | None = None

    @property
    def first_not_finite(self) -> str:
        """Name the layer where it appeared; if none is known, it was after the last attention layer."""
        return self._first or "after the last attention layer"

    @property
    def device(self) -> torch.device:
        """Return the model's device."""
        return self._model.device

    @property
    def replayable(self) -> bool:
        """Return False: a replay runs past the checks."""
        return False

    @property
    def capped(self) -> bool:
        """Return True if the model soft-caps its attention logits."""
        return self._model.capped

    @property
    def mixed_lengths(self) -> bool:
        """Return True if rows of different lengths may share a forward pass of the model."""
        return self._model.mixed_lengths

    def projections(self) -> Sequence[Projections]:
        """Return the model's weights of keys and values."""
        return self._model.projections()

    def lend(self, others: Sequence[Projections]) -> AbstractContextManager[None]:
        """Lend the model other such weights."""
        return self._model.lend(others)

    def compress(self, compressor: Compressor) -> Sequence[Compress]:
        """Return what a compressor does in each of the model's layers."""
        return self._model.compress(compressor)

    def forward(self, tokens: Tensor, positions: Tensor, mode: ForwardMode, last: Tensor | None = None) -> Tensor:
        """Compute the model's logits, each layer's attention watched."""
        return self._model.forward(tokens, positions, _WatchedMode(mode, self), last)

    def note(self, where: str) -> None:
        """Keep the first place."""
        self._first = self._first or where


@dataclass(frozen=True)
class _WatchedMode:
    """Computes attention as `mode` does, and checks what goes in and what comes out."""

    mode: ForwardMode
    model: WatchedModel

    @property
    def cached(self) -> int:
        return self.mode.cached

    @property
    def final(self) -> int | None:
        return self.mode.final

    @property
    def wants_inputs(self) -> bool:
        return self.mode.wants_inputs

    def attend(self, call: LayerCall) -> Tensor:
        if not all(torch.isfinite(part).all() for part in (call.q, call.k, call.v)):
            self.model.note(f"layer {call.layer}, in the queries, keys or values")
        output = self.mode.attend(call)
        if not torch.isfinite(output).all():
            self.model.note(f"layer {call.layer}, in the attention output")
        return output
