"""Loads a model's weights when they are first asked for, and once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.hf import Checkpoint
from harness.hf.retry import patiently


@dataclass(frozen=True)
class Weights:
    """Loads a checkpoint when its model is first asked for; a download that breaks is tried again.

    Raises RunError when it broke every time.
    """

    checkpoint: Checkpoint

    @cached_property
    def model(self) -> Any:
        """Return the model on its device, ready for inference."""
        return patiently(self.checkpoint.load, f"the weights of model '{self.checkpoint.spec.name}'")
