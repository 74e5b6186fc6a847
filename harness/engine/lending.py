"""Works out which projections a model is lent while a method runs that changes weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.attention import Projections
from harness.engine.activity import ROUNDING
from harness.engine.model import LayerCall, Model
from harness.methods import Method


class Loan(NamedTuple):
    """Holds, by layer, what the method made of its weights and what the model runs with; and if that is another."""

    reweighed: Sequence[Projections]
    lent: Sequence[Projections]
    changed: bool


def make_loan(model: Model, method: Method[Any], learnt: Sequence[Any] = ()) -> Loan:
    """Ask a method for other weights, with what it has learnt of each layer.

    Layers that it exempts keep their own, as all do unless it prefills itself.
    """
    own = model.projections()
    reweighed = method.reweigh(own, learnt)
    windowed = _windowed(model) if method.layers == "full" else [False] * len(own)
    acts = [method.own_prefill and method.exemption.acts_in(i, narrow) for i, narrow in enumerate(windowed)]
    lent = [new if acting else old for new, old, acting in zip(reweighed, own, acts, strict=True)]
    changed = any(_differs(a.k, b.k) or _differs(a.v, b.v) for a, b in zip(own, lent, strict=True))
    return Loan(reweighed, lent, changed)


@dataclass
class _Windows:
    """Notes which layers see less than all that is causal, and answers with zeros."""

    layers: dict[int, bool] = field(default_factory=dict)
    cached: int = 0
    final: int | None = None
    wants_inputs: bool = False

    def attend(self, call: LayerCall) -> Tensor:
        self.layers[call.layer] = call.window_mask is not None
        return torch.zeros_like(call.q)


def _windowed(model: Model) -> list[bool]:
    """Find the layers with a window, in a pass over one token."""
    found, token = _Windows(), torch.zeros(1, 1, dtype=torch.long, device=model.device)
    model.forward(token, token, found)
    return [found.layers[i] for i in sorted(found.layers)]


def _differs(a: Tensor, b: Tensor) -> bool:
    return a is not b and bool((a - b).abs().max() > ROUNDING * a.abs().max())
