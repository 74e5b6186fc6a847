"""Defines what a method learns from before it decodes, and how that is gathered prompt by prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from harness.attention.prefill import LayerPrefill
from harness.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Calibrator(ABC, Generic[T]):
    """Learns one thing of each layer from the first `prompts` prompts: a frozen dataclass, and its key as well.

    A method names it as `calibrator` and finds in `prefix.calibration` what `finish` made of the layer.
    """

    prompts: int

    @property
    def unrotates(self) -> bool:
        """Return True if it needs the layers' rotary embeddings."""
        return False

    @property
    def reads_inputs(self) -> bool:
        """Return True if it learns from the hidden states that enter attention: `prompt.inputs` is then there."""
        return False

    @abstractmethod
    def fold(self, so_far: T | None, prompt: LayerPrefill) -> T:
        """Return what is known of a layer after one more prompt, a single row without padding; first there is None."""

    @abstractmethod
    def finish(self, found: T) -> Any:
        """Make what methods start from of what all prompts gave."""


def unrotated(prompt: LayerPrefill, x: Tensor) -> Tensor:
    """Undo the rotation of a prompt's queries or keys [..., S, D]. Raises InputError where it is not known."""
    if prompt.rope is None:
        raise InputError(f"layer {prompt.layer} has no rotary embedding that could be undone: use what is after it")
    return prompt.rope.to(x.device).unrotate(x, torch.arange(x.shape[-2], device=x.device))
