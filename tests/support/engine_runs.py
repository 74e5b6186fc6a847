"""Cells and prompts for the tests of the engine."""

from harness import methods
from harness.engine import Prompt
from support import VARIANTS, architectures

NEW = 6


def cells():
    """Every method with a small budget."""
    return [methods.create(name, **knobs) for name, knobs in VARIANTS]


def generation(prompts=None, new=NEW):
    """Prompts of different lengths to continue."""
    return [Prompt(p, new_tokens=new) for p in prompts or architectures.prompts()]


def scoring():
    """Prompts of different lengths with continuations of different lengths."""
    return [
        Prompt(p, forced=f)
        for p, f in zip(architectures.prompts(), architectures.prompts((5, 1, 8), seed=4), strict=True)
    ]
