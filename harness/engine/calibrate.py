"""Lets calibrators learn from the dense prefills of a task's first prompts, one prompt after the other."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefill, attend_prompt
from harness.attention.calibration import Calibrator
from harness.attention.rope import Rope
from harness.engine.device import current
from harness.engine.model import LayerCall, Model
from harness.errors import InputError

Learnt = dict[Calibrator[Any], dict[int, Any]]
"""What calibrators know so far, by layer."""


@dataclass(frozen=True)
class CalibratingPrompts:
    """Holds the token ids of a task's first prompts, from which methods may learn before they decode any."""

    prompts: tuple[tuple[int, ...], ...]

    def first(self, count: int) -> tuple[tuple[int, ...], ...]:
        """Return the first `count` of them, or all there are. Raises InputError if there is none."""
        if not self.prompts:
            raise InputError("a method is to learn from the task's first prompts, and there is none")
        return self.prompts[:count]

    def name(self, count: int) -> str:
        """Name the first `count` of them by their number and their tokens: "8 prompts 1f00ab12cd34"."""
        first = self.first(count)
        return f"{len(first)} prompts {hashlib.sha256(json.dumps(first).encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Calibration:
    """Attends densely to one prompt and lets calibrators learn from every layer: a forward mode."""

    calibrators: Sequence[Calibrator[Any]]
    learnt: Learnt
    ropes: Sequence[Rope | None]
    final: int
    cached: int = 0

    @property
    def wants_inputs(self) -> bool:
        """Return True if a calibrator learns from what enters attention."""
        return any(calibrator.reads_inputs for calibrator in self.calibrators)

    def attend(self, call: LayerCall) -> Tensor:
        """Hand the layer on, then attend."""
        prompt = LayerPrefill(
            call.q.unflatten(1, (call.k.shape[1], -1)),  # type: ignore[no-untyped-call]
            call.k,
            None,
            call.scores,
            call.window_mask,
            inputs=call.inputs,
            v=call.v,
            layer=call.layer,
            rope=self._rope(call),
        )
        for calibrator in self.calibrators:
            layers = self.learnt[calibrator]
            layers[call.layer] = calibrator.fold(layers.get(call.layer), prompt)
        return attend_prompt(prompt).output.flatten(1, 2)

    def _rope(self, call: LayerCall) -> Rope | None:
        rope = self.ropes[call.layer] if self.ropes else None
        return rope and rope.to(call.k.device)


def calibrate(
    model: Model,
    calibrators: Iterable[Calibrator[Any]],
    prompts: CalibratingPrompts,
    ropes: Sequence[Rope | None] = (),
) -> dict[Calibrator[Any], list[Any]]:
    """Find what each calibrator makes of its first prompts, layer by layer: what methods start from.

    `ropes` are the layers' rotary embeddings, for calibrators that un-rotate. Raises InputError where one is lacking.
    """
    learnt: Learnt = {calibrator: {} for calibrator in calibrators}
    most = max((calibrator.prompts for calibrator in learnt), default=0)
    with current(model.device):
        for i, tokens in enumerate(prompts.first(most) if learnt else ()):
            mode = Calibration([c for c in learnt if i < c.prompts], learnt, ropes, len(tokens))
            row = torch.tensor([tokens], device=model.device)
            last = torch.tensor([len(tokens) - 1], device=model.device)
            model.forward(row, torch.arange(len(tokens), device=model.device)[None], mode, last)
    return {of: [of.finish(layers[i]) for i in sorted(layers)] for of, layers in learnt.items()}
