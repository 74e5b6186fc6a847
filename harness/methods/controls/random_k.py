"""Chooses k tokens blindly: a control. A method that is no better has learnt nothing from its scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, age
from harness.attention.draws import mix
from harness.methods.about import About
from harness.methods.best_tokens import BestTokens
from harness.methods.exactly_k import ExactlyK
from harness.methods.knob_types import Count, layer_seed

__all__ = ["RandomK"]


@dataclass
class Draw:
    """Holds where the stream of random numbers of a layer stands."""

    stream: int
    step: int = 0


@dataclass(frozen=True)
class RandomK(ExactlyK[Draw], BestTokens[Draw]):
    """Attends exactly to the newest token and k - 1 others, drawn anew for each step, layer and KV head.

    A draw depends on a token's age alone, so padding and batch neighbours do not change it.
    """

    about: ClassVar[About] = About(title="Random k", access="positions")

    seed: Count = 0

    def start(self, prefix: LayerPrefix) -> Draw:
        """Start a stream of its own for each layer."""
        return Draw(layer_seed(self.seed, prefix.layer, apart=7919))

    def scores(self, step: Step, state: Draw) -> Tensor:
        """Draw each token's luck; the newest has the most."""
        state.step += 1
        ages = age(step.mask)
        heads = torch.arange(step.k.shape[1], device=ages.device)[None, :, None]
        luck = mix(ages + mix(heads + mix(state.stream * 104_729 + state.step)))
        return luck.float().masked_fill(ages == 0, torch.inf)[:, :, None]
