"""Finds out what a model's attention layers look like, and if all call the engine, before any weight is read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerShape
from harness.engine.model import LayerCall
from harness.errors import InputError
from harness.hf.bridge import Bridge


@dataclass
class _Shapes:
    """Notes the shape of every layer that calls us, and answers with zeros."""

    layers: dict[int, LayerShape]
    window: int | None
    cached: int = 0

    def attend(self, call: LayerCall) -> Tensor:
        """Note the shape, return zeros of it."""
        _, h, _, d = call.k.shape
        self.layers[call.layer] = LayerShape(h, d, None if call.window_mask is None else self.window)
        return torch.zeros_like(call.q)


def inspect_architecture(name: str, config: Any, build: Callable[[], Any]) -> tuple[LayerShape, ...]:
    """Find the attention layers of a model in a pass of 2 tokens without weights (meta device).

    Raises InputError, naming the architecture, unless every layer calls the bridge.
    """
    kind = getattr(config, "model_type", "unknown")
    text = config.get_text_config()
    found = _Shapes({}, getattr(text, "sliding_window", None) or getattr(text, "attention_chunk_size", None))
    try:
        with torch.device("meta"):
            model = build().eval()
            model.config.pad_token_id = None  # some look for padding among the tokens, whose values meta has not
            bridge = Bridge(model)
            tokens = torch.zeros(1, 2, dtype=torch.long)
            bridge.forward(tokens, torch.arange(2)[None], found)
    except Exception as error:  # foreign modelling code fails in its own ways
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"model '{name}': architecture '{kind}' is not supported: {reason}") from error
    if sorted(found.layers) != list(range(bridge.layers)):
        raise InputError(
            f"model '{name}': architecture '{kind}' is not supported: {len(found.layers)} of {bridge.layers} layers "
            "call the attention interface of transformers; choose a model whose layers all do, such as llama or qwen3"
        )
    return tuple(found.layers[i] for i in range(bridge.layers))
