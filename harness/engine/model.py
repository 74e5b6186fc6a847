"""Defines the seam between a model and the engine: layers call for attention, a forward mode computes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.attention import Projections
from harness.attention.compressor import Compress, Compressor
from harness.attention.scores import Scores


@dataclass(frozen=True)
class LayerCall:
    """Holds what one layer hands to attention: R rows, T new tokens, in columns `cached` .. cached + T - 1.

    q [R, Hq, T, D]; k and v [R, Hkv, T, D] of the new tokens only; window_mask [1, 1, T, cached + T] bool where
    the layer sees less than all that is causal (sliding windows), else None. inputs [R, T, E]: the hidden states that
    entered attention, if the mode asked for them.
    """

    layer: int
    q: Tensor
    k: Tensor
    v: Tensor
    window_mask: Tensor | None
    scores: Scores
    inputs: Tensor | None = None


class ForwardMode(Protocol):
    """Computes the attention of every layer during one forward pass: prefill and decode are the two modes."""

    @property
    def cached(self) -> int:
        """Count the columns of the cache before this pass."""
        ...

    @property
    def final(self) -> int | None:
        """Count the tokens that every row will have been fed at its end; None if that is open, or differs by row."""
        ...

    @property
    def wants_inputs(self) -> bool:
        """Return True if calls are to hold what entered attention; InputError then, where a layer does not show it."""
        ...

    def attend(self, call: LayerCall) -> Tensor:
        """Return the attention output [R, Hq, T, D] of one layer."""
        ...


class Model(Protocol):
    """Describes a decoder whose layers leave attention to a forward mode; harness.hf.Bridge makes one."""

    @property
    def device(self) -> torch.device:
        """Return the device of the token ids and of the logits."""
        ...

    @property
    def capped(self) -> bool:
        """Return True if the architecture soft-caps its attention logits."""
        ...

    @property
    def replayable(self) -> bool:
        """Return True if a forward pass can be recorded as a CUDA graph."""
        ...

    @property
    def mixed_lengths(self) -> bool:
        """Return True if rows of different lengths may share a forward pass without changing each other."""
        ...

    def projections(self) -> Sequence[Projections]:
        """Return the weights that make each layer's keys and values. Raises InputError where they are not its own."""
        ...

    def lend(self, others: Sequence[Projections]) -> AbstractContextManager[None]:
        """Let the model run with other such weights; its own are back afterwards, whatever happens."""
        ...

    def compress(self, compressor: Compressor) -> Sequence[Compress]:
        """Return what a compressor of another package does in each layer. Raises InputError where it does nothing."""
        ...

    def forward(self, tokens: Tensor, positions: Tensor, mode: ForwardMode, last: Tensor | None = None) -> Tensor:
        """Compute logits [R, T, V] of tokens and positions [R, T]; if `last` [R], of one token a row: [R, 1, V]."""
        ...
