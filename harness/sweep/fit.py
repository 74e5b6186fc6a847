"""Finds how many GPUs of a kind hold a model whose layers are spread over them, and its largest example beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from harness.forecast.device import DEVICES, Device
from harness.forecast.transformer import Transformer
from harness.sweep.batch_tokens import example_of, planned_batch_tokens, transformer_of
from harness.sweep.prepare import Prepared

MOST = 8
"""GPUs of one host."""


@dataclass(frozen=True)
class Fit:
    """Says how many GPUs hold a job's model, and how many tokens of a batch they hold beside it."""

    gpus: int
    batch_tokens: int


def find_fit(prepared: Prepared, device: Device) -> Fit | None:
    """Find the fewest GPUs, up to MOST, that hold the weights and one batch of the largest example under all cells.

    None if so many do not. Layers are taken to be spread evenly, the vocabulary's matrices to lie at either end.
    """
    model, cells = transformer_of(prepared.checkpoint), prepared.plan.cells
    examples = [example_of(prompt) for prompt in prepared.prompts]
    largest = max(one.prompt + len(cells) * one.decoded for one in examples)
    engine = replace(prepared.job.engine, batch_tokens="auto")
    for gpus in range(1, MOST + 1):
        part = model.layers[: math.ceil(len(model.layers) / gpus)]
        free = device.memory - fullest_bytes(model, gpus, _is_tied(prepared))
        tokens = planned_batch_tokens(engine, model, examples, free, cells, prepared.job.divergence, part)
        if tokens >= largest:
            return Fit(gpus, tokens)
    return None


def fullest_bytes(model: Transformer, gpus: int, tied: bool) -> float:
    """Count the bytes of weights on the fullest of some GPUs; `tied` says that one matrix reads and writes tokens."""
    vocabulary = model.hidden * model.vocabulary * model.element
    layers = model.weight_bytes - vocabulary
    share = math.ceil(len(model.layers) / gpus) / len(model.layers)
    return layers * share + vocabulary * (1 if tied or gpus > 1 else 2)


def describe_fit(prepared: Prepared) -> Iterator[str]:
    """Say on how many GPUs of each kind a job's model fits, if one of some kind does not hold it or it is spread."""
    found = {device.name: find_fit(prepared, device) for device in DEVICES if device.kernels}
    if not prepared.job.model.device_map and all(fit is not None and fit.gpus == 1 for fit in found.values()):
        return
    counts = [f"{fit.gpus} {name}" if fit else f"more than {MOST} {name}" for name, fit in found.items()]
    size = fullest_bytes(transformer_of(prepared.checkpoint), 1, _is_tied(prepared)) / 1e9
    yield (
        f"{prepared.job.model.name} on {prepared.job.task.name}: weights of {size:.1f} GB and the largest example with "
        f"all cells fit on {', '.join(counts)}; several need model.device_map=auto, whose layers take turns: hours are "
        "those of one"
    )


def _is_tied(prepared: Prepared) -> bool:
    return bool(getattr(prepared.checkpoint.config.get_text_config(), "tie_word_embeddings", False))
