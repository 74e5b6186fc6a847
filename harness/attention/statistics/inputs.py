"""Hands out the hidden states that enter a layer's attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.attention.statistics.blocks import LayerPrompt
from harness.attention.statistics.walk import Statistic
from harness.errors import InputError


@dataclass(frozen=True)
class LayerInputs(Statistic):
    """Hands out what the projections of queries, keys and values were given of each token: [B, E, S], in its dtype."""

    reads_inputs: ClassVar[bool] = True

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Return the hidden states; no block is needed. Raises InputError where nobody captured them."""
        if prompt.inputs is None:
            raise InputError("the hidden states that enter attention are not known here: run the method in a model")
        return prompt.inputs.masked_fill(~prompt.live[..., None], 0).mT
