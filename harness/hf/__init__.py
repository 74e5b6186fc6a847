"""Checkpoints: where they come from, what they are, how they are loaded."""

from harness.hf.bridge import Bridge
from harness.hf.checkpoint import Checkpoint, find
from harness.hf.named import named, names
from harness.hf.spec import ModelSpec

__all__ = ["Bridge", "Checkpoint", "ModelSpec", "find", "named", "names"]
