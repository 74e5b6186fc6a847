"""Makes the engine that a checkpoint's prompts are run with, and gives methods what they need besides the cache."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from harness.engine import CalibratingPrompts, Engine, calibrate
from harness.evaluation.prompts import TaskPrompt
from harness.hf import Bridge, Checkpoint
from harness.hf.press_trial import press_refusal
from harness.kernels import Kernel
from harness.methods import Method


def refusal(checkpoint: Checkpoint, method: Method[Any]) -> str | None:
    """Say in a sentence why a model cannot run a method; None if it can. Loads no weights."""
    found = checkpoint.rope_refusal() if _is_rotary(method) else None
    if found is None and "weights" in method.needs:
        found = checkpoint.weights_refusal(plain="rope" in method.needs)
    if found is None and method.reads_inputs:
        found = checkpoint.inputs_refusal()
    if found is None and method.compressor is not None:
        found = press_refusal(method.compressor, checkpoint.config, checkpoint.ropes(), checkpoint.layers)
    return found


def make_engine(
    checkpoint: Checkpoint,
    model: Any,
    methods: Iterable[Method[Any]],
    prompts: CalibratingPrompts,
    prefill_tokens: int = 2048,
    kernel: Kernel = "auto",
    divergence: bool = False,
) -> Engine:
    """Make an engine for some methods around a checkpoint's loaded model; those that learn do so here, from `prompts`.

    Rotary embeddings are looked for if a method needs them, and lie on the model's device. Raises InputError where a
    method needs one that cannot be had.
    """
    wanted = set(methods)
    calibrators = {of.calibrator: None for of in wanted if of.calibrator is not None}
    bridge = Bridge(model, checkpoint.mixed_lengths)
    found = checkpoint.ropes() if any(map(_is_rotary, wanted)) else ()
    ropes = [rope and rope.to(bridge.device) for rope in found]
    return Engine(bridge, prefill_tokens, kernel, ropes, calibrate(bridge, calibrators, prompts, ropes), divergence)


def _is_rotary(method: Method[Any]) -> bool:
    """Return True if a method needs the layers' rotary embeddings, to decode or to learn beforehand."""
    return "rope" in method.needs or (method.calibrator is not None and method.calibrator.unrotates)


def first_in_turn(prompts: Iterable[TaskPrompt]) -> CalibratingPrompts:
    """Put the first prompts in front that methods learn from: those of several tasks in turn, each text once."""
    by_task: dict[str, dict[tuple[int, ...], None]] = {}
    for prompt in prompts:
        by_task.setdefault(prompt.request.task, {})[prompt.tokens] = None
    turns = itertools.zip_longest(*by_task.values())
    return CalibratingPrompts(tuple(dict.fromkeys(tokens for turn in turns for tokens in turn if tokens is not None)))
