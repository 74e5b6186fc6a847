"""Prefills every prompt once, then lets each method decode from it, side by side."""

from harness.engine.calibrate import CalibratingPrompts, calibrate
from harness.engine.engine import Engine
from harness.engine.finite import NotFiniteError
from harness.engine.prompt import Output, Prompt, Rule, Sampling

__all__ = [
    "CalibratingPrompts",
    "Engine",
    "NotFiniteError",
    "Output",
    "Prompt",
    "Rule",
    "Sampling",
    "calibrate",
]
