"""Captures the hidden states that enter each layer's attention, at the linear layer that makes keys of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from harness.errors import InputError


def attention_modules(model: Any) -> list[Any]:
    """Return the attention module of every layer, in order.

    Raises InputError, naming the architecture, where one has no k_proj, at whose input hidden states are captured.
    """
    config = model.config.get_text_config()
    found = {module.layer_idx: module for module in model.modules() if _makes_keys(module)}
    if sorted(found) != list(range(int(config.num_hidden_layers))):
        raise InputError(
            f"architecture '{config.model_type}' has no k_proj in every layer, at which the inputs of attention are "
            "read: choose another model, or leave the method out"
        )
    return [found[layer] for layer in sorted(found)]


def inputs_refusal(config: Any, trust_remote_code: bool = False) -> str | None:
    """Say why the inputs of attention cannot be read in a model of this kind; None if they can. Reads no weights."""
    with torch.device("meta"):
        given = {"dtype": torch.bfloat16, "trust_remote_code": trust_remote_code}
        model = AutoModelForCausalLM.from_config(config, **given)
    try:
        attention_modules(model)
    except InputError as error:
        return str(error)
    return None


@contextmanager
def captured(model: Any) -> Iterator[dict[int, Tensor]]:
    """Fill a dict, by layer, with the hidden states [R, T, E] that enter attention, while the context lasts."""
    inputs: dict[int, Tensor] = {}

    def note(layer: int) -> Any:
        def hook(_: Any, given: tuple[Tensor, ...]) -> None:
            inputs[layer] = given[0]

        return hook

    modules = enumerate(attention_modules(model))
    handles = [module.k_proj.register_forward_pre_hook(note(layer)) for layer, module in modules]
    try:
        yield inputs
    finally:
        for handle in handles:
            handle.remove()


def _makes_keys(module: Any) -> bool:
    return hasattr(module, "layer_idx") and isinstance(getattr(module, "k_proj", None), nn.Module)
