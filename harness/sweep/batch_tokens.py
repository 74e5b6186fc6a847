"""How many tokens go into a batch: as asked, as the folder's latest launch had it, or as many as memory holds.

Rows side by side in a batch decide the last bits of a number, so all launches and shards of a folder use one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from harness.attention.statistics import BLOCK
from harness.engine.session import LOGIT_BYTES
from harness.evaluation.batches import PLAIN_TOKENS
from harness.evaluation.prompts import TaskPrompt
from harness.forecast.memory import Demand, Widths, fitting_tokens
from harness.store.store import Store
from harness.sweep.prepare import Prepared


def agreed(prepared: Prepared, store: Store) -> int | None:
    """The number, where it is known without weights; None where a CUDA device has yet to tell what is free.

    What is asked for wins; `auto` is what the folder's latest launch used, or PLAIN_TOKENS where there is no CUDA.
    """
    asked = prepared.job.engine.batch_tokens
    if asked != "auto":
        return asked
    return store.batch_tokens() or (None if prepared.checkpoint.device.startswith("cuda") else PLAIN_TOKENS)


def decide(prepared: Prepared, store: Store, free: int | None) -> int:
    """Agree on a number now that `free` bytes are left beside the weights (None: not on CUDA), and keep it in run.json.

    The first of several shards decides.
    """
    with store.exclusive():
        tokens = agreed(prepared, store)
        if tokens is None:
            tokens = PLAIN_TOKENS if free is None else _fitting(prepared, free)
            store.amend({"batch_tokens": tokens})
        return tokens


def planned(prepared: Prepared, free: float) -> int:
    """The number to plan with, whatever a folder holds: what is asked for, for `auto` what fits into `free` bytes."""
    asked = prepared.job.engine.batch_tokens
    return _fitting(prepared, free) if asked == "auto" else asked


def free_bytes(model: Any) -> int | None:
    """Free on the model's CUDA device; where it has several, on the fullest, as if that had to hold every layer.

    None if no weight is on CUDA.
    """
    devices = {weight.device for weight in model.parameters() if weight.device.type == "cuda"}
    if devices:
        torch.cuda.empty_cache()  # what loading left behind is free too
    return min((torch.cuda.mem_get_info(device)[0] for device in devices), default=None)


def demand_of(prompts: Sequence[TaskPrompt], prefill_tokens: int) -> Demand:
    """The most that any of the prompts asks per token, be there one cell (columns) or very many (rows)."""
    sizes = [(len(prompt.tokens), max(1, prompt.steps)) for prompt in prompts]
    return Demand(
        columns=max((prompt + 2 * steps) / (prompt + steps) for prompt, steps in sizes),
        rows=max(1 / steps for _, steps in sizes),
        prefill=max(prefill_tokens, *(prompt for prompt, _ in sizes)),
        block=BLOCK,
        logit_bytes=LOGIT_BYTES,
    )


def _fitting(prepared: Prepared, free: float) -> int:
    checkpoint = prepared.checkpoint
    widths = Widths.of(checkpoint.config.get_text_config())
    demand = demand_of(prepared.prompts, prepared.job.engine.prefill_tokens)
    return fitting_tokens(free, checkpoint.layers, checkpoint.bytes_per_element, widths, demand)
