"""Makes the engine that a checkpoint's prompts are run with, and gives methods what they need besides the cache."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from harness.engine import CalibratingPrompts, Engine, calibrate
from harness.evaluation.prompts import TaskPrompt
from harness.hf import Bridge, Checkpoint
from harness.kernels import Kernel
from harness.methods import Method


def make_engine(
    checkpoint: Checkpoint,
    model: Any,
    methods: Iterable[Method[Any]],
    prompts: CalibratingPrompts,
    prefill_tokens: int = 2048,
    kernel: Kernel = "auto",
) -> Engine:
    """Make an engine for some methods around a checkpoint's loaded model; those that learn do so here, from `prompts`.

    Rotary embeddings are looked for if a method needs them. Raises InputError where one cannot be had.
    """
    wanted = set(methods)
    calibrators = {of.calibrator: None for of in wanted if of.calibrator is not None}
    rotary = any("rope" in of.needs for of in wanted) or any(of.unrotates for of in calibrators)
    ropes = checkpoint.ropes() if rotary else ()
    bridge = Bridge(model, checkpoint.mixed_lengths)
    return Engine(bridge, prefill_tokens, kernel, ropes, calibrate(bridge, calibrators, prompts, ropes))


def first_in_turn(prompts: Iterable[TaskPrompt]) -> CalibratingPrompts:
    """Put the first prompts in front that methods learn from: those of several tasks in turn, each text once."""
    by_task: dict[str, dict[tuple[int, ...], None]] = {}
    for prompt in prompts:
        by_task.setdefault(prompt.request.task, {})[prompt.tokens] = None
    turns = itertools.zip_longest(*by_task.values())
    return CalibratingPrompts(tuple(dict.fromkeys(tokens for turn in turns for tokens in turn if tokens is not None)))
