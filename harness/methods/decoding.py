"""Runs a method on raw tensors, without a model: what tests and users call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from harness.attention.scores import Scores
from harness.attention.statistics import LayerPrompt, observe
from harness.attention.step import LayerPrefix, Step
from harness.errors import InputError
from harness.methods.contract import Method


def decode(
    method: Method[Any],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    prefill_length: int,
    scores: Scores | None = None,
    layer: int = 0,
    **place: Any,
) -> Tensor:
    """Compute the attention outputs [B, Hq, T, D] of the T decode steps that follow a dense prefill of P tokens.

    query [B, Hq, P+T, D]; key, value [B, Hkv, P+T, D], rotated; attention_mask [B, P+T] bool, False at padding, whose
    contents do not matter. `scores` defaults to softmax scale D^-0.5; `layer` is the layer's number in its model, which
    is never exempt here. `place` holds what else a LayerPrefix does: layers, rope, calibration, shared, compress; and
    inputs [B, P, E], what entered attention. Raises InputError where the method needs one that is not there.
    """
    found = steps(method, query, key, value, attention_mask, prefill_length, scores, layer=layer, **place)
    return torch.stack([method.attend(step, state) for step, state in found], 3).flatten(1, 2)


def steps(
    method: Method[Any],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    prefill_length: int,
    scores: Scores | None = None,
    **place: Any,
) -> Iterator[tuple[Step, Any]]:
    """Give each decode step with the state that the method carries along; arguments are those of `decode`."""
    lacking = [need for need in ("calibration", "rope", "compress") if need in method.needs and place.get(need) is None]
    if lacking:
        raise InputError(f"{type(method).__name__} needs {' and '.join(lacking)}: hand it to decode by that name")
    q = query.unflatten(1, (key.shape[1], -1))  # type: ignore[no-untyped-call]
    scores = scores or Scores(query.shape[3] ** -0.5)
    mask = attention_mask.bool()
    key, value = (x.masked_fill(~mask[:, None, :, None], 0) for x in (key, value))
    state = _start(method, q, key, value, mask, prefill_length, scores, place)
    for n in range(prefill_length + 1, key.shape[2] + 1):
        yield Step(q[:, :, :, n - 1], key[:, :, :n], value[:, :, :n], mask[:, None, :n], scores), state


def _start(
    method: Method[Any],
    q: Tensor,
    k: Tensor,
    v: Tensor,
    mask: Tensor,
    p: int,
    scores: Scores,
    place: Mapping[str, Any],
) -> Any:
    """Return the state of a method after a dense prefill of the first p tokens."""
    of_prompt = {name: place[name] for name in ("layer", "rope", "inputs") if name in place}
    of_prefix = {name: value for name, value in place.items() if name != "inputs"}
    prompt = LayerPrompt(q[:, :, :, :p], k[:, :, :p], mask[:, :p], scores, **of_prompt)
    found, steps = observe(method.observes, prompt), k.shape[2] - p
    return method.start(LayerPrefix(prompt.k, v[:, :, :p], mask[:, None, :p], steps, statistics=found, **of_prefix))
