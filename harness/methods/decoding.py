"""Runs a method on raw tensors, without a model: what tests and users call."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from harness.attention.scores import Scores
from harness.attention.statistics import observe
from harness.attention.step import LayerPrefix, Step
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
) -> Tensor:
    """Compute the attention outputs [B, Hq, T, D] of the T decode steps that follow a dense prefill of P tokens.

    query [B, Hq, P+T, D]; key, value [B, Hkv, P+T, D], rotated; attention_mask [B, P+T] bool, False at padding, whose
    contents do not matter. `scores` defaults to softmax scale D^-0.5; `layer` is the layer's number in its model.
    """
    q = query.unflatten(1, (key.shape[1], -1))  # type: ignore[no-untyped-call]
    scores = scores or Scores(query.shape[3] ** -0.5)
    mask = attention_mask.bool()
    key, value = (x.masked_fill(~mask[:, None, :, None], 0) for x in (key, value))
    state = method.start(_prefix(method, q, key, value, mask, prefill_length, scores, layer))
    outputs = [
        method.attend(Step(q[:, :, :, n - 1], key[:, :, :n], value[:, :, :n], mask[:, None, :n], scores), state)
        for n in range(prefill_length + 1, key.shape[2] + 1)
    ]
    return torch.stack(outputs, 3).flatten(1, 2)


def _prefix(
    method: Method[Any], q: Tensor, key: Tensor, value: Tensor, mask: Tensor, p: int, scores: Scores, layer: int
) -> LayerPrefix:
    """Describe the first p tokens as a layer hands them to a method after its prefill; q [B, H, G, P+T, D]."""
    return LayerPrefix(
        k=key[:, :, :p],
        v=value[:, :, :p],
        mask=mask[:, None, :p],
        decode_steps=q.shape[3] - p,
        layer=layer,
        statistics=observe(method.observes, q[:, :, :, :p], key[:, :, :p], mask[:, :p], scores),
    )
