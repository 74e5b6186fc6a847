"""Checkpoints: where they come from, what they are, how they are loaded."""

from harness.models.checkpoint import Checkpoint, find
from harness.models.named import named, names
from harness.models.spec import ModelSpec

__all__ = ["Checkpoint", "ModelSpec", "find", "named", "names"]
