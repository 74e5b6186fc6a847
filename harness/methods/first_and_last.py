"""Keeps the first tokens and the last: one pattern for all methods of that form, seen at true positions or others."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from harness.attention import Attended, LayerPrefill, LayerPrefix, Rope, Step, age, attend_prompt, attend_to, top_newest
from harness.attention.moved import Sinks
from harness.attention.unrotated import rope_of
from harness.methods.contract import Need
from harness.methods.cost import Cost, LayerAt
from harness.methods.exactly_k import ExactlyK
from harness.methods.knob_types import Initial


@dataclass(frozen=True)
class FirstAndLast(ExactlyK[Rope | None]):
    """Attends to the `initial` oldest live tokens and the k - initial most recent, the newest included.

    `mask_prefill` applies the same pattern to the prompt; in a layer with a window a decode step's first tokens are the
    oldest in it, a prompt's own are seen while they are in it. A method whose `sinks` are seen elsewhere than they
    are needs the layer's rotary embedding, which is its state.
    """

    initial: Initial
    mask_prefill: bool = False

    @property
    def sinks(self) -> Sinks | None:
        """Return where the first tokens are seen; None where they are."""
        return None

    @property
    def needs(self) -> frozenset[Need]:
        """Return "rope" where sinks are seen elsewhere."""
        return frozenset({"rope"} if self.sinks else ())

    def start(self, prefix: LayerPrefix) -> Rope | None:
        """Keep the layer's rotary embedding, if it is needed: the pattern depends on positions only."""
        return rope_of(prefix) if self.sinks else None

    def attend(self, step: Step, state: Rope | None) -> Tensor:
        """Attend exactly to the pattern."""
        if self.sinks and state:
            return self.sinks.attend(step, state)
        oldest = step.mask.cumsum(-1) <= self.initial
        recency = (-age(step.mask)).float().masked_fill(oldest, torch.inf).masked_fill(~step.mask, -torch.inf)
        index = top_newest(recency, self.k)
        return attend_to(step, index)[0]

    def cost(self, at: LayerAt) -> Cost:
        """Count 2kD + 2D elements as moved; the k tokens of the pattern are all that is held."""
        return replace(super().cost(at), held=at.tokens(min(self.k, at.n)))

    @property
    def own_prefill(self) -> bool:
        """Return the knob `mask_prefill`."""
        return self.mask_prefill

    def prefill(self, prompt: LayerPrefill) -> Attended:
        """Attend to the pattern of the decode steps from each prompt query."""
        if self.sinks:
            return self.sinks.attend_prompt(prompt)

        def seen(start: int, end: int) -> Tensor:
            query, key = (torch.arange(low, end, device=prompt.k.device) for low in (start, 0))
            return ((key < self.initial) | (query[:, None] - key < self.k - self.initial))[None, None, None]

        return attend_prompt(prompt, seen)
