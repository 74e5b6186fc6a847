"""Knows rotary embeddings that change with a text's length: where they do, and what must not be asked of them.

"dynamic" grows its base from the model's positions on, with every token, and keeps the largest it saw. "longrope" has
two sets of factors; transformers takes the long one for all tokens of a text as soon as it is longer than the original
positions.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch

from harness.errors import InputError


def without_growth(config: Any) -> Any:
    """Return a copy whose dynamic embeddings stand still, which a pass without contents cannot ask for a length."""
    still = copy.deepcopy(config)
    for parameters in _parameters(still):
        if parameters.get("rope_type") == "dynamic":
            parameters["rope_type"] = "default"
    return still


def check_reach(name: str, config: Any, max_length: int) -> None:
    """Raise InputError for lengths at which every token changes the embedding of all others."""
    positions = getattr(config.get_text_config(), "max_position_embeddings", None)
    if positions and max_length > positions and any(p.get("rope_type") == "dynamic" for p in _parameters(config)):
        raise InputError(
            f"model '{name}': beyond {positions} positions its rotary embedding is dynamic, another one for every "
            f"length, which a cache cannot hold: set model.max_length={positions} or less"
        )


def turning_point(config: Any, max_length: int) -> int | None:
    """Return the length beyond which a text has other embeddings from its first token on; None if out of reach."""
    longrope = [p for p in _parameters(config) if p.get("rope_type") == "longrope"]
    lengths = [p.get("original_max_position_embeddings") for p in longrope]
    return min((length for length in lengths if length and length < max_length), default=None)


def check_no_turn(name: str, turn: int | None, prompt: int, end: int) -> None:
    """Raise InputError for a prompt of so many tokens whose continuation may pass the turning point before `end`."""
    if turn is not None and prompt <= turn < end:
        raise InputError(
            f"model '{name}': beyond {turn} tokens its rotary embedding (longrope) is another one, and a prompt of "
            f"{prompt} tokens may grow to {end}: ask for fewer new tokens, or set model.max_length={turn}"
        )


def tell_length(model: Any, final: Callable[[], int | None]) -> list[Any]:
    """Let embeddings that look for a text's length in the positions of a pass see the text's last position too.

    `final` counts the tokens of every row at its end, where that is known before. Returns the handles of the hooks, to
    be removed when nobody can count any more.
    """
    handles: list[Any] = []
    for module in model.modules():
        if "longrope" in str(getattr(module, "rope_type", "")):
            handles.append(module.register_forward_pre_hook(partial(_with_last_position, final), with_kwargs=True))
            handles.append(module.register_forward_hook(partial(_without_last_position, final)))
    return handles


def _with_last_position(final: Callable[[], int | None], _: Any, args: Any, kwargs: Any) -> Any:
    length = final()
    if length is None:
        return None
    given = {**dict(zip(("x", "position_ids", "layer_type"), args, strict=False)), **kwargs}
    positions = given["position_ids"]
    return (), {**given, "position_ids": torch.cat([positions, torch.full_like(positions[:, :1], length - 1)], 1)}


def _without_last_position(final: Callable[[], int | None], _module: Any, _given: Any, output: Any) -> Any:
    if final() is None:
        return None
    return tuple(part[:, :-1] for part in output) if isinstance(output, tuple) else output[:, :-1]


def _parameters(config: Any) -> Iterator[dict[str, Any]]:
    """Yield the parameters of each rotary embedding: there is one, or one by kind of layer."""
    given = getattr(config.get_text_config(), "rope_parameters", None) or {}
    yield from [inner for inner in given.values() if isinstance(inner, dict)] or [given]
