"""Gathers statistics of the dense prefill that some methods start from, beside the attention itself.

The attention weights are recomputed in blocks of queries, so nothing of size S x S is ever held. Shape legend:
harness/attention/__init__.py; Q is the number of queries in a block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from harness.attention.scores import Scores

ATTENTION_RECEIVED = "attention_received"
LAST_USED = "last_used"
BLOCK = 128


class Observe(Protocol):
    """Gathers statistics as `observe` does, or something that gives the same."""

    def __call__(
        self,
        names: Collection[str],
        q: Tensor,
        k: Tensor,
        mask: Tensor | None,
        scores: Scores,
        window_mask: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Gather the named statistics, each [B, H, S]; arguments are those of `observe`."""
        ...


@dataclass(frozen=True)
class _Block:
    """Holds weights [B, H, G, Q, N] of consecutive queries, mask [B, Q], time [B, Q], 1 at a row's first live query."""

    weights: Tensor
    mask: Tensor
    time: Tensor


def observe(
    names: Collection[str], q: Tensor, k: Tensor, mask: Tensor | None, scores: Scores, window_mask: Tensor | None = None
) -> dict[str, Tensor]:
    """Gather the named statistics of a causal prefill, each [B, H, S].

    q [B, H, G, S, D]; k [B, H, S, D]; mask [B, S] bool, False at padding on either side, None if there is none;
    window_mask [B or 1, 1, S, S] bool replaces plain causality (sliding windows). Padding neither gives nor receives.
    """
    if not names:
        return {}
    b, h, s, _ = k.shape
    dtype = torch.promote_types(k.dtype, torch.float32)
    found = {name: torch.zeros(b, h, s, dtype=dtype, device=k.device) for name in sorted(names)}
    for block in _blocks(q, k, mask, scores, window_mask):
        n = block.weights.shape[-1]
        for name, so_far in found.items():
            _FOLDS[name](so_far[..., :n], block)
    return found


def used(weights: Tensor) -> Tensor:
    """Return which tokens an LRU cache calls used: group-mean weight of at least 1 / (tokens above 1e-9).

    weights [B, H, G, ..., N] -> [B, H, ..., N] bool.
    """
    mean = weights.mean(2)
    return mean * (mean > 1e-9).sum(-1, keepdim=True) >= 1


def _blocks(q: Tensor, k: Tensor, mask: Tensor | None, scores: Scores, window_mask: Tensor | None) -> Iterator[_Block]:
    b, h, g, s, d = q.shape
    every = torch.ones(b, s, dtype=torch.bool, device=q.device) if mask is None else mask
    time = every.cumsum(-1)
    for start in range(0, s, BLOCK):
        end = min(start + BLOCK, s)
        logits = scores(q[:, :, :, start:end].reshape(b, h, -1, d), k[:, :, :end]).view(b, h, g, -1, end)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if window_mask is None:
            future = torch.ones(end - start, end - start, dtype=torch.bool, device=q.device).triu(1)
            logits[..., start:].masked_fill_(future, -torch.inf)
        else:
            logits.masked_fill_(~window_mask[:, :, None, start:end, :end], -torch.inf)
        if mask is not None:
            logits.masked_fill_(~mask[:, None, None, None, :end], -torch.inf)
        weights = logits.softmax(-1)
        if mask is not None:
            weights.nan_to_num_(0)  # a padded query sees nothing
        yield _Block(weights, every[:, start:end], time[:, start:end])


def _fold_received(received: Tensor, block: _Block) -> None:
    b, h, g, queries, n = block.weights.shape
    share = (block.mask[:, None, None].to(received.dtype) / g).expand(b, h, g, queries).reshape(b, h, 1, g * queries)
    received += (share @ block.weights.view(b, h, g * queries, n)).squeeze(2)


def _fold_last_used(last: Tensor, block: _Block) -> None:
    stamp = used(block.weights) * (block.mask * block.time)[:, None, :, None]
    torch.maximum(last, stamp.amax(2).to(last.dtype), out=last)


_FOLDS: dict[str, Callable[[Tensor, _Block], None]] = {
    ATTENTION_RECEIVED: _fold_received,
    LAST_USED: _fold_last_used,
}
