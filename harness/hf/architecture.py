"""Finds out what a model's attention layers look like, and if all call the engine, before any weight is read."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from harness.attention import LayerShape
from harness.engine.model import LayerCall
from harness.errors import InputError
from harness.hf.bridge import Bridge
from harness.hf.refusals import refusal


@dataclass
class _Shapes:
    """Notes the shape of every layer that calls us, and answers with zeros."""

    window: int | None
    chunked: bool
    layers: dict[int, LayerShape] = field(default_factory=dict)
    cached: int = 0

    def attend(self, call: LayerCall) -> Tensor:
        """Note the shape, return zeros of it. Raises InputError for a layer that attends twice in one pass."""
        _, h, _, d = call.k.shape
        if call.layer in self.layers:
            raise InputError(f"its layer {call.layer} attends more than once for a token, methods here act on one call")
        masked = call.window_mask is not None
        self.layers[call.layer] = LayerShape(h, d, self.window if masked else None, masked and self.chunked)
        return torch.zeros_like(call.q)


def inspect_architecture(name: str, config: Any, trust_remote_code: bool = False) -> tuple[LayerShape, ...]:
    """Find the attention layers of a model in a pass of 2 tokens without weights.

    Raises InputError, naming the architecture, for a kind of model that no method can act in, and unless every layer
    calls the bridge.
    """
    try:
        why = refusal(config)
        if why is None:
            found, expected = _trace(config, trust_remote_code)
            if sorted(found) == list(range(expected)):
                return tuple(found[i] for i in range(expected))
            why = (
                f"{len(found)} of {expected} layers call the attention interface of transformers; choose a model whose "
                "layers all do, such as llama or qwen3"
            )
    except Exception as error:  # foreign modelling code fails in its own ways
        why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    kind = getattr(config, "model_type", "unknown")
    raise InputError(f"model '{name}': architecture '{kind}' is not supported: {why}")


def _trace(config: Any, trust_remote_code: bool) -> tuple[dict[int, LayerShape], int]:
    """Return the layers that attend in a pass on the meta device, and how many the model has.

    In bfloat16, for the matrix products of experts have no other precision there.
    """
    text = config.get_text_config()
    window, chunk = (getattr(text, name, None) for name in ("sliding_window", "attention_chunk_size"))
    found = _Shapes(window or chunk, chunked=not window)
    with torch.device("meta"):
        given = {"dtype": torch.bfloat16, "trust_remote_code": trust_remote_code}
        model = AutoModelForCausalLM.from_config(copy.deepcopy(config), **given).eval()
        model.config.pad_token_id = None  # some look for padding among the tokens, whose values meta has not
        bridge = Bridge(model)
        tokens = torch.zeros(1, 2, dtype=torch.long)
        bridge.forward(tokens, torch.arange(2)[None], found)
    return found.layers, bridge.layers
