"""Checkpoints: where they come from, what they are, how they are loaded."""

from harness.models.load import LoadedModel, load
from harness.models.spec import ModelSpec

__all__ = ["LoadedModel", "ModelSpec", "load"]
