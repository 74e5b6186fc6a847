"""One decode step as an attention layer sees it, and the arithmetic that the methods share.

Shape legend (used in every docstring of the package):
    B batch rows   H KV heads   G query heads per KV head   D head dimension
    S prompt tokens   N cached tokens, the newest included   K kept tokens   T decode steps
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from harness.observe import observe
from harness.scores import Scores, softmax

if TYPE_CHECKING:
    from harness.methods import Method


@dataclass(frozen=True)
class LayerPrefix:
    """What a layer hands to a method once the shared dense prefill is done. Read only.

    k, v: [B, H, S, D] views of the cache, newest token last, zero at padding. live: [B, 1, S] bool, False at padding.
    statistics: what the method's `observes` asked for, each [B, H, S]. room: decode steps to come.
    """

    k: Tensor
    v: Tensor
    live: Tensor
    room: int
    layer: int = 0
    statistics: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Step:
    """One decode step of one layer: q [B, H, G, D], k and v [B, H, N, D], live [B, 1, N] bool.

    Padding is never live and zero in k and v. `scores` carries the architecture's softmax scale and soft-cap; `sliding`
    is True where a window makes old tokens leave `live` again.
    """

    q: Tensor
    k: Tensor
    v: Tensor
    live: Tensor
    scores: Scores
    sliding: bool = False

    @property
    def length(self) -> int:
        """N, the cached tokens including the newest."""
        return self.k.shape[2]


def age(live: Tensor) -> Tensor:
    """Number of live tokens newer than each token, [..., N]; the newest live token has age 0."""
    count = live.cumsum(-1)
    return count[..., -1:] - count


def top_newest(scores: Tensor, count: int, column: Tensor | None = None) -> Tensor:
    """Indices of the `count` highest scores along the last axis; exact ties go to the newest token.

    Scores are ranked as float32. `column` ([..., N], default 0..N-1) is the age order of the entries.
    Score and column are packed into one integer, so no tie is left to the device's sort.
    """
    bits = (scores.to(torch.float32) + 0.0).view(torch.int32)
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    if column is None:
        column = torch.arange(scores.shape[-1], device=scores.device)
    key = (ordered.long() << 32) | column
    return key.topk(min(count, scores.shape[-1]), sorted=False).indices


def gather_tokens(x: Tensor, index: Tensor) -> Tensor:
    """Rows of x [B, H, N, D] at index [B, H, K] -> [B, H, K, D]."""
    b, h = index.shape[:2]
    batch = torch.arange(b, device=x.device)[:, None, None]
    head = torch.arange(h, device=x.device)[None, :, None]
    return x[batch, head, index]


def gather_live(live: Tensor, index: Tensor) -> Tensor:
    """live [B, 1, N] at index [B, H, K] -> [B, H, K]."""
    return live.expand(-1, index.shape[1], -1).gather(2, index)


def attend_to(step: Step, index: Tensor) -> tuple[Tensor, Tensor]:
    """Exact attention over the tokens at index [B, H, K].

    Returns the output [B, H, G, D] and the weights [B, H, G, K].
    """
    live = gather_live(step.live, index)
    logits = step.scores(step.q, gather_tokens(step.k, index))
    weights = softmax(logits, live[:, :, None])
    return weights.to(step.v.dtype) @ gather_tokens(step.v, index), weights


class MeanValue:
    """The mean of all live V, kept as a running sum so that a step reads one row of V, not N.

    Held in at least float32 (SparQ paper, section 4.2). A token that a sliding window drops is taken out again.
    """

    def __init__(self, prefix: LayerPrefix) -> None:
        self._live = prefix.live
        live_v = prefix.v.masked_fill(~prefix.live[..., None], 0)
        self.total = live_v.sum(2, dtype=torch.promote_types(live_v.dtype, torch.float32))

    def update(self, step: Step) -> Tensor:
        """Add the step's newest token and return the mean, [B, H, D]."""
        self.total = self.total + step.v[:, :, -1]
        if step.sliding:
            departed = self._live & ~step.live[..., :-1]
            self.total = self.total - (step.v[:, :, :-1] * departed[..., None]).sum(2, dtype=self.total.dtype)
        self._live = step.live
        return self.total / step.live.sum(-1, keepdim=True)


def decode(
    method: Method[Any],
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor,
    prefill_length: int,
    scores: Scores | None = None,
) -> Tensor:
    """Attention outputs of the T decode steps that follow a dense prefill of P tokens, [B, Hq, T, D].

    query [B, Hq, P+T, D]; key and value [B, Hkv, P+T, D], already rotated; attention_mask [B, P+T] bool, False at
    padding, whose contents do not matter. `scores` defaults to softmax scale D^-0.5 without soft-cap.
    """
    b, hq, total, d = query.shape
    h = key.shape[1]
    q = query.view(b, h, hq // h, total, d)
    scores = scores or Scores(d**-0.5)
    live = attention_mask.bool()
    key, value = (x.masked_fill(~live[:, None, :, None], 0) for x in (key, value))
    p = prefill_length
    prefix = LayerPrefix(
        k=key[:, :, :p],
        v=value[:, :, :p],
        live=live[:, None, :p],
        room=total - p,
        statistics=observe(method.observes, q[:, :, :, :p], key[:, :, :p], live[:, :p], scores),
    )
    state = method.start(prefix)
    outputs = [
        method.attend(Step(q[:, :, :, n - 1], key[:, :, :n], value[:, :, :n], live[:, None, :n], scores), state)
        for n in range(p + 1, total + 1)
    ]
    return torch.stack(outputs, 3).reshape(b, hq, total - p, d)
