"""Decides how many tokens go into a batch: as asked, as the folder's latest launch had it, or what memory holds.

Rows side by side in a batch decide the last bits of a number, so all launches and shards of a folder use one number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from harness.attention import LayerShape
from harness.attention.statistics import BLOCK
from harness.engine import Prompt
from harness.engine.session import LOGIT_BYTES
from harness.evaluation.batches import PLAIN_TOKENS
from harness.forecast.memory import Demand, Example, Passes, demand_of, fitting_tokens, most_per_token, row_bytes
from harness.forecast.transformer import Transformer
from harness.hf import Checkpoint
from harness.hf.placement import find_devices, layer_devices
from harness.kernels import available, find_binding
from harness.methods.cell import Cell
from harness.methods.cost import Stack
from harness.store.store import Store
from harness.sweep.job import EngineSpec
from harness.sweep.prepare import Prepared
from harness.sweep.traffic import may_run_by_kernels

PLAIN_BYTES = 4 << 30
"""Bytes of the states and of the rows in a step, of all cells, where no device says how much memory is free."""


def decide_batch_tokens(prepared: Prepared, store: Store) -> int:
    """Decide what bounds this folder's batches, and keep it in run.json for later launches and other shards.

    What is asked for wins; `auto` is what the folder's latest launch used, else PLAIN_TOKENS where there is no CUDA,
    else what fits beside the weights, which are loaded to find out. The first of several shards decides.
    """
    tokens = _known(prepared, store)
    free = _free_bytes(prepared.model) if tokens is None else {}
    with store.exclusive():
        tokens = _known(prepared, store) or (_fitting(prepared, free) if free else _plain(prepared))
        store.amend({"batch_tokens": tokens})
    return tokens


def planned_batch_tokens(
    engine: EngineSpec,
    model: Transformer,
    examples: Sequence[Example],
    free: float,
    cells: Sequence[Cell],
    divergence: bool = False,
    part: Sequence[LayerShape] | None = None,
) -> int:
    """Return the number to plan with, whatever a folder holds: what is asked for, or what fits into `free` bytes.

    Where a cell with a prefill of its own is compared with dense, the caches of both are there at once. A device on
    which a `part` of the layers lies holds their caches, and its share of the states, taken to be equal in all layers.
    """
    if engine.batch_tokens != "auto":
        return engine.batch_tokens
    return fitting_tokens(free, _demand(engine, model, examples, cells, divergence, part or model.layers))


def _demand(
    engine: EngineSpec,
    model: Transformer,
    examples: Sequence[Example],
    cells: Sequence[Cell],
    divergence: bool,
    part: Sequence[LayerShape],
) -> Demand:
    """Reckon what a batch asks of the device on which a part of the layers lies."""
    methods = [cell.method_at(examples[0].prompt) for cell in cells]
    return demand_of(
        replace(model, layers=part),
        examples,
        len(cells),
        Passes(engine.prefill_tokens, BLOCK, LOGIT_BYTES),
        lambda one: len(part) / len(model.layers) * _state_bytes(model, one, cells),
        caches=2 if divergence and any(method.own_prefill for method in methods) else 1,
        gathers=not may_run_by_kernels(engine, model) or any(find_binding(method) is None for method in methods),
    )


def _state_bytes(model: Transformer, example: Example, cells: Sequence[Cell]) -> float:
    """Count the bytes that an example's states take under all cells: indices, codes, kept scores."""
    stack = Stack(tuple(model.layers))
    methods = (cell.method_at(example.prompt) for cell in cells)
    return model.element * sum(stack.state(method, sum(example)) for method in methods)


def transformer_of(checkpoint: Checkpoint) -> Transformer:
    """Describe a checkpoint's model for a forecast."""
    return Transformer.of(checkpoint.config.get_text_config(), checkpoint.layers, checkpoint.bytes_per_element)


def example_of(prompt: Prompt) -> Example:
    """Count the tokens of a prompt for a forecast."""
    return Example(len(prompt.tokens), prompt.steps)


def _known(prepared: Prepared, store: Store) -> int | None:
    """Return the number where it is known without weights; None where a CUDA device has yet to say what is free."""
    asked = prepared.job.engine.batch_tokens
    if asked != "auto":
        return asked
    if prepared.checkpoint.device.startswith("cuda"):
        return store.batch_tokens()
    return min(_plain(prepared), store.batch_tokens() or PLAIN_TOKENS)


def _plain(prepared: Prepared) -> int:
    """Return PLAIN_TOKENS, or fewer where states, and logits of all cells, would take more than PLAIN_BYTES."""
    examples, cells = [example_of(prompt) for prompt in prepared.prompts], prepared.plan.cells
    model = transformer_of(prepared.checkpoint)

    def taken(one: Example) -> float:
        return _state_bytes(model, one, cells) + len(cells) * row_bytes(model)

    return max(1, int(min(PLAIN_TOKENS, PLAIN_BYTES / most_per_token(examples, len(cells), taken))))


def _free_bytes(model: Any) -> dict[torch.device, int]:
    """Count the bytes free on each CUDA device that holds weights of the model; none if no weight is on CUDA."""
    devices = [device for device in find_devices(model) if device.type == "cuda"]
    if devices:
        torch.cuda.empty_cache()  # what loading left behind is free too
    return {device: torch.cuda.mem_get_info(device)[0] for device in devices}


def _fitting(prepared: Prepared, free: Mapping[torch.device, int]) -> int:
    """Return what fits on every device beside its weights; layers whose weights wait elsewhere run on the first."""
    job, cells, examples = prepared.job, prepared.plan.cells, [example_of(prompt) for prompt in prepared.prompts]
    model, first = transformer_of(prepared.checkpoint), next(iter(free))
    parts: dict[torch.device, list[LayerShape]] = {}
    for layer, device in zip(model.layers, layer_devices(prepared.model), strict=True):
        parts.setdefault(device if device in free else first, []).append(layer)
    engine = job.engine if available(first) else replace(job.engine, kernel="torch")
    return min(
        planned_batch_tokens(engine, model, examples, free[device], cells, job.divergence, part)
        for device, part in parts.items()
    )
