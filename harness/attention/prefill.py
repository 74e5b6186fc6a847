"""Computes a prompt's attention in one layer, dense or over the tokens that a pattern lets each query see.

Nothing of size S x S is made: a pattern is asked for one block of queries after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

from harness.attention.scores import softmax
from harness.attention.statistics import LayerPrompt
from harness.attention.weights import Projections

QUERIES = 256
"""Queries of a block."""
Seen = Callable[[int, int], Tensor]
"""Says what queries `start` .. `end` - 1 see of tokens 0 .. `end` - 1: [B or 1, H or 1, G or 1, end - start, end] bool.

Causality, windows and padding need not be in it.
"""

Attend = Callable[["LayerPrefill", int, int, Tensor], Tensor]
"""Computes the output [B, H, G, Q, D] of queries `start` .. `end` - 1 under what they see, as large as Seen says."""


@dataclass(frozen=True, kw_only=True)
class LayerPrefill(LayerPrompt):
    """Holds what a layer hands to a method that computes the prompt's attention itself. Read only.

    To LayerPrompt it adds v [B, H, S, D], and what LayerPrefix holds of a layer. Rows are left-aligned: token t of
    every row is in column t, and padding follows the prompt, whose contents are finite and mean nothing. k and v are
    what decode steps will find in the cache.
    """

    v: Tensor
    calibration: Any = None
    weights: Projections | None = None

    def visible(self, start: int, end: int) -> Tensor:
        """Return which of tokens 0 .. end - 1 causality and the window show to queries start .. end - 1.

        [B or 1, 1, 1, end - start, end] bool. A query of the padding sees as much as a live one in its place would.
        """
        if self.window_mask is not None:
            return self.window_mask[:, :, None, start:end, :end]
        query, key = (torch.arange(low, end, device=self.k.device) for low in (start, 0))
        return (key <= query[:, None])[None, None, None]


@dataclass(frozen=True)
class Attended:
    """Holds a prompt's attention output [B, H, G, S, D], and its density [B].

    The density of a row is the share of those query-key pairs, over all query heads, that a dense prefill computes.
    """

    output: Tensor
    density: Tensor


def attend_prompt(prompt: LayerPrefill, seen: Seen | None = None, attend: Attend | None = None) -> Attended:
    """Attend exactly to what each query sees: all that is visible, or what `seen` leaves of it.

    `attend`, where given, computes a block in the exact one's stead, of what its queries see.
    """
    if seen is None and attend is None and prompt.scores.cap is None:
        return Attended(_fused(prompt), _ones(prompt))
    blocks, computed, pairs = [], _ones(prompt) * 0, _ones(prompt) * 0
    for start in range(0, prompt.q.shape[3], QUERIES):
        end = min(start + QUERIES, prompt.q.shape[3])
        visible = prompt.visible(start, end)
        mask = visible if seen is None else visible & seen(start, end)
        blocks.append((attend or _attend)(prompt, start, end, mask))
        computed += _count(prompt, start, end, mask)
        pairs += _count(prompt, start, end, visible)
    return Attended(torch.cat(blocks, 3), computed / pairs)


def in_blocks(kept: Tensor, size: int) -> Seen:
    """Show the blocks of `size` keys that kept [B, H, G, R, C] bool names for each block of as many queries."""

    def seen(start: int, end: int) -> Tensor:
        row, column = (torch.arange(low, end, device=kept.device) // size for low in (start, 0))
        return kept[:, :, :, row][..., column]

    return seen


def _ones(prompt: LayerPrefill) -> Tensor:
    return torch.ones(prompt.q.shape[0], dtype=torch.float32, device=prompt.q.device)


def _fused(prompt: LayerPrefill) -> Tensor:
    """Attend densely in one call, [B, H, G, S, D]."""
    output = scaled_dot_product_attention(
        prompt.q.flatten(1, 2),
        prompt.k,
        prompt.v,
        prompt.window_mask,
        is_causal=prompt.window_mask is None,
        scale=prompt.scores.scale,
        enable_gqa=prompt.q.shape[2] > 1,
    )
    return output.view(prompt.q.shape)


def _attend(prompt: LayerPrefill, start: int, end: int, mask: Tensor) -> Tensor:
    """Attend with one block of queries under mask [B or 1, H or 1, G or 1, Q, N]: [B, H, G, Q, D].

    Queries of the padding see their own token: of nothing at all, some kernels make numbers that are not finite.
    """
    if prompt.mask is not None:
        token = torch.arange(end, device=mask.device)
        own = token == token[start:, None]
        mask = mask | (own & ~prompt.mask[:, start:end, None])[:, None, None]
    q, k, v = prompt.q[:, :, :, start:end], prompt.k[:, :, :end], prompt.v[:, :, :end]
    if prompt.scores.cap is not None:
        weights = softmax(prompt.scores(q, k[:, :, None]), mask)
        return weights.to(v.dtype) @ v[:, :, None]
    if mask.shape[1:3] != (1, 1):
        mask = mask.expand(-1, *q.shape[1:3], -1, -1)
    grouped = q.shape[2] > 1
    of_heads, scale = mask.flatten(1, 2), prompt.scores.scale
    output = scaled_dot_product_attention(q.flatten(1, 2), k, v, of_heads, scale=scale, enable_gqa=grouped)
    return output.unflatten(1, q.shape[1:3])  # type: ignore[no-untyped-call,no-any-return]


def _count(prompt: LayerPrefill, start: int, end: int, mask: Tensor) -> Tensor:
    """Count the pairs of live queries, averaged over the query heads, [B]."""
    seen = mask.sum(-1, dtype=torch.float32).mean((1, 2))  # [B or 1, Q]
    return (seen * prompt.live[:, start:end]).sum(-1)
