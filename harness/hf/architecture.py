"""Finds out what a model's attention layers look like, and if all call the engine, before any weight is read."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from harness.attention import LayerShape
from harness.engine.model import LayerCall
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.hf.refusals import refusal, unsupported
from harness.hf.rope import without_growth
from harness.hf.vetting.building import bounded, most_modules

OFFSET = 2
"""Rows before the first position that some tables have."""


@dataclass
class _Shapes:
    """Notes the shape of every layer that calls us, and answers with zeros."""

    window: int | None
    chunked: bool
    layers: dict[int, LayerShape] = field(default_factory=dict)
    cached: int = 0
    final: int | None = None
    wants_inputs: bool = False

    def attend(self, call: LayerCall) -> Tensor:
        """Note the shape, return zeros of it. Raises InputError for a layer that attends twice in one pass."""
        _, h, _, d = call.k.shape
        if call.layer in self.layers:
            raise InputError(f"its layer {call.layer} attends more than once for a token, methods here act on one call")
        masked = call.window_mask is not None
        self.layers[call.layer] = LayerShape(
            h, d, self.window if masked else None, masked and self.chunked, call.q.shape[1] // h
        )
        return torch.zeros_like(call.q)


@dataclass(frozen=True)
class Architecture:
    """Holds the shape of each attention layer, and how many numbers the model's weights are.

    `positions` counts the rows of a table of positions, if there is one.
    """

    layers: tuple[LayerShape, ...]
    positions: int | None = None
    numbers: int = 0

    def check_length(self, name: str, max_length: int) -> None:
        """Raise InputError for more positions than the table has."""
        if self.positions is not None and max_length > self.positions:
            raise InputError(
                f"model '{name}': model.max_length={max_length} is more than the {self.positions} positions in its "
                f"table: set at most {self.positions}"
            )


def inspect_architecture(
    name: str, config: Any, trust_remote_code: bool = False, tensors: int | None = None
) -> Architecture:
    """Find the attention layers of a model in a pass of 2 tokens without weights.

    Raises InputError, naming the architecture, for a kind of model that no method can act in, unless every layer calls
    the bridge, and for a model that is larger than any, or than one whose weights are so many `tensors`.
    """
    with unsupported(name, config, "a pass without weights fails in its code"):
        why = refusal(config)
        if why is not None:
            raise InputError(why)
        with bounded(modules=None if trust_remote_code else most_modules(tensors)):
            model = _without_weights(config, trust_remote_code)
        found = _trace(model, config)
        expected = Bridge(model).layers
        if sorted(found) != list(range(expected)):
            raise InputError(
                f"{len(found)} of {expected} layers call the attention interface of transformers; choose a model "
                "whose layers all do, such as llama or qwen3"
            )
        numbers = sum(weight.numel() for weight in model.parameters())
        return Architecture(tuple(found[i] for i in range(expected)), _table(model, config), numbers)


def _without_weights(config: Any, trust_remote_code: bool) -> Any:
    """Make a model on the meta device.

    In bfloat16, for the matrix products of experts have no other precision there.
    """
    with torch.device("meta"):
        given = {"dtype": torch.bfloat16, "trust_remote_code": trust_remote_code}
        return AutoModelForCausalLM.from_config(without_growth(config), **given).eval()


def _trace(model: Any, config: Any) -> dict[int, LayerShape]:
    """Return the layers of a model without weights that attend in a pass."""
    text = config.get_text_config()
    window, chunk = (getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size"))
    found = _Shapes(window or chunk, chunked=not window)
    model.config.pad_token_id = None  # some look for padding among the tokens, whose values meta has not
    with torch.device("meta"):
        tokens = torch.zeros(1, 2, dtype=torch.long)
        Bridge(model).forward(tokens, torch.arange(2)[None], found)
    return found.layers


def _table(model: Any, config: Any) -> int | None:
    """Find a table with a row for each position, learnt or computed: nothing lies beyond its end."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if not positions:
        return None
    inputs = model.get_input_embeddings()
    learnt = [m.weight for m in model.modules() if isinstance(m, torch.nn.Embedding) and m is not inputs]
    tables = [table for table in (*learnt, *model.buffers()) if table.dim() == 2]
    return positions if any(positions <= len(table) <= positions + OFFSET for table in tables) else None
