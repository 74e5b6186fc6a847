"""Engines, cells and prompts for the tests of the engine."""

from functools import cache

import torch

from harness import methods
from harness.engine import Engine, Prompt
from harness.hf import Bridge
from harness.hf.architecture import inspect_architecture
from harness.hf.rotary import find_ropes
from support import VARIANTS, architectures

NEW = 6


@cache
def ropes(architecture):
    """The rotary embedding of each layer of an architecture, None where it has none."""
    config = architectures.config(architecture)
    widths = [layer.head_dim for layer in inspect_architecture(architecture, config).layers]
    return find_ropes(config, widths, 256, torch.float64).layers


def engine(architecture="llama", dtype=torch.float64, **more):
    """An engine around a small model, which hands its rotary embeddings to methods that need them."""
    model = architectures.model(architecture, dtype=dtype)
    return Engine(Bridge(model), ropes=ropes(architecture), **more)


def cells(architecture="llama"):
    """Every method with a small budget that has all it needs in an architecture."""
    given = set() if None in ropes(architecture) else {"rope"}
    return [cell for cell in (methods.create(name, **knobs) for name, knobs in VARIANTS) if cell.needs <= given]


def generation(prompts=None, new=NEW):
    """Prompts of different lengths to continue."""
    return [Prompt(p, new_tokens=new) for p in prompts or architectures.prompts()]


def scoring():
    """Prompts of different lengths with continuations of different lengths."""
    return [
        Prompt(p, forced=f)
        for p, f in zip(architectures.prompts(), architectures.prompts((5, 1, 8), seed=4), strict=True)
    ]
