"""Engines, cells and prompts for the tests of the engine."""

import importlib.util
from functools import cache

import torch

from harness import methods
from harness.engine import CalibratingPrompts, Engine, Prompt, calibrate
from harness.errors import InputError
from harness.hf import Bridge
from harness.hf.architecture import inspect_architecture
from harness.hf.inputs import inputs_refusal
from harness.hf.projections import projections
from harness.hf.rotary import find_ropes
from support import VARIANTS, all_of, architectures

NEW = 6
PRESSES = importlib.util.find_spec("kvpress") is not None
"""True where the package is installed that a method runs; its own tests say so where it is not."""
PRESSED = {"llama", "qwen2", "qwen3", "gemma3_text"}
"""Architectures of layers without a window, among others, that kvpress knows."""


@cache
def ropes(architecture):
    """The rotary embedding of each layer of an architecture, None where it has none."""
    config = architectures.config(architecture)
    widths = [layer.head_dim for layer in inspect_architecture(architecture, config).layers]
    return find_ropes(config, widths, 256, torch.float64).layers


@cache
def learnt(architecture):
    """What every method that learns beforehand makes of three prompts."""
    calibrators = {of.calibrator for method in _methods() for of in (method, all_of(method)) if of.calibrator}
    known = [of for of in calibrators if not of.unrotates or None not in ropes(architecture)]
    if inputs_refusal(architectures.config(architecture)):
        known = [of for of in known if not of.reads_inputs]
    bridge = Bridge(architectures.model(architecture))
    return calibrate(bridge, known, CalibratingPrompts(tuple(architectures.prompts())), ropes(architecture))


@cache
def makes_plain_keys(architecture):
    """True if keys and values are made by weights of their own, and then no more than rotated."""
    try:
        return all(of.plain for of in projections(architectures.model(architecture)))
    except InputError:
        return False


def engine(architecture="llama", dtype=torch.float64, **more):
    """An engine around a small model, which gives methods its rotary embeddings, and what they learnt beforehand."""
    given = {"ropes": ropes(architecture), "calibrations": learnt(architecture), **more}
    return Engine(Bridge(architectures.model(architecture, dtype=dtype)), **given)


def cells(architecture="llama"):
    """Every method with a small budget that has all it needs in an architecture."""
    given = {"calibration"} | (set() if None in ropes(architecture) else {"rope"})
    given |= {"weights"} if makes_plain_keys(architecture) else set()
    given |= {"compress"} if PRESSES and architecture in PRESSED else set()
    known = {None, *learnt(architecture)}
    return [cell for cell in _methods() if cell.needs <= given and cell.calibrator in known]


def _methods():
    return [methods.create(name, **knobs) for name, knobs in VARIANTS]


def sharing(architecture="llama"):
    """Those that share the dense prefill."""
    return [cell for cell in cells(architecture) if not cell.own_prefill]


def generation(prompts=None, new=NEW):
    """Prompts of different lengths to continue."""
    return [Prompt(p, new_tokens=new) for p in prompts or architectures.prompts()]


def scoring():
    """Prompts of different lengths with continuations of different lengths."""
    return [
        Prompt(p, forced=f)
        for p, f in zip(architectures.prompts(), architectures.prompts((5, 1, 8), seed=4), strict=True)
    ]
