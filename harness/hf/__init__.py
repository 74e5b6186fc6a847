"""Finds checkpoints, says what they are, and loads them. The one package that knows transformers."""

from harness.hf.bridge import Bridge
from harness.hf.checkpoint import Checkpoint, find
from harness.hf.generation import NOTHING, Generation
from harness.hf.spec import ModelSpec

__all__ = ["NOTHING", "Bridge", "Checkpoint", "Generation", "ModelSpec", "find"]
