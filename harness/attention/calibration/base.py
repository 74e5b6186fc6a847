"""Defines what a method learns from before it decodes, and how that is gathered prompt by prompt."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor

from harness.attention.rope import Rope
from harness.attention.statistics import LayerPrompt

T = TypeVar("T")


@dataclass(frozen=True)
class Sample:
    """Holds the dense prefill of one calibrating prompt in one layer: one row, no padding.

    prompt: q [1, H, G, S, D], k [1, H, S, D], rotated, and what each query sees. v [1, H, S, D]. rope: the layer's.
    """

    prompt: LayerPrompt
    v: Tensor
    layer: int = 0
    rope: Rope | None = None

    def unrotated(self, x: Tensor) -> Tensor:
        """Undo the rotation of queries or keys [..., S, D]; a layer without a rotary embedding has nothing to undo."""
        return x if self.rope is None else self.rope.unrotate(x, torch.arange(x.shape[-2], device=x.device))


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

    @abstractmethod
    def fold(self, so_far: T | None, sample: Sample) -> T:
        """Return what is known of a layer after one more prompt; `so_far` is None at the first."""

    @abstractmethod
    def finish(self, found: T) -> Any:
        """Make what methods start from of what all prompts gave."""
