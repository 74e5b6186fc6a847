"""Computes a prompt's attention while its KV cache is written and its statistics are gathered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from harness.attention import LayerPrefill, Projections, attend_prompt
from harness.attention.statistics import Observe, Statistic, observe
from harness.engine.cache import PromptCache
from harness.engine.model import LayerCall
from harness.methods import Method


class Prefilled(NamedTuple):
    """Holds the filled cache and the logits [B, V] of every prompt's last token."""

    cache: PromptCache
    logits: Tensor


@dataclass(frozen=True)
class Prefill:
    """Attends within rows of left-aligned prompts: padding follows the prompt, where causality already hides it.

    `observe` gathers the statistics. A method with a prefill of its `own` computes the attention, with
    what it has `learnt` of each layer and made of its `weights`; without, it is dense.
    """

    cache: PromptCache
    rows: slice
    observes: frozenset[Statistic]
    observe: Observe = observe
    own: Method[Any] | None = None
    learnt: Sequence[Any] = ()
    weights: Sequence[Projections] = ()
    cached: int = 0

    @property
    def final(self) -> int | None:
        """Count the tokens of every row at its end, if they are known."""
        return self.cache.final

    @property
    def wants_inputs(self) -> bool:
        """Return True if a statistic is made of what enters attention."""
        return any(statistic.reads_inputs for statistic in self.observes)

    def attend(self, call: LayerCall) -> Tensor:
        """Attend, then store keys, values and statistics of the layer."""
        prompt = self._prompt(call)
        found = self.observe(self.observes, prompt)
        self.cache.write(call.layer, self.rows, call.k, call.v, found)
        if self.own is None or not self.own.exemption.acts_in(call.layer, call.window_mask is not None):
            return attend_prompt(prompt).output.flatten(1, 2)
        attended = self.own.prefill(prompt)
        self.cache.note_density(call.layer, self.rows, attended.density)
        return attended.output.flatten(1, 2)

    def _prompt(self, call: LayerCall) -> LayerPrefill:
        h = call.k.shape[1]
        return LayerPrefill(
            call.q.unflatten(1, (h, -1)),  # type: ignore[no-untyped-call]
            call.k,
            self._mask(call),
            call.scores,
            call.window_mask,
            inputs=call.inputs,
            v=call.v,
            layer=call.layer,
            rope=self.cache.rope(call.layer, call.k.device),
            calibration=self.learnt[call.layer] if self.learnt else None,
            weights=self.weights[call.layer] if self.weights else None,
        )

    def _mask(self, call: LayerCall) -> Tensor | None:
        """Return the attention mask [R, S] bool, or None without padding."""
        s = call.q.shape[2]
        if min(self.cache.lengths[self.rows]) == s:
            return None
        return torch.arange(s, device=call.q.device) < self.cache.live(call.q.device).count[self.rows, None]
