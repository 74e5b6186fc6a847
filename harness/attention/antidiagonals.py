"""Estimates which blocks of a prompt's attention hold its mass, by strided sums along antidiagonals (XAttention).

Source: Xu et al., arXiv 2503.16428, section 3, as its code computes it. Tokens are taken in groups of `stride`; the
product of a group of queries, in reverse, with a group of keys sums one antidiagonal of their tile.
"""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.prefill import LayerPrefill

ROWS = 256
"""Groups of queries whose logits are held at once, if a block has no more."""


def block_mass(prompt: LayerPrefill, stride: int, block: int, norm: float) -> Tensor:
    """Estimate the mass that each block of queries gives to each block of keys: [B, H, G, S/block, S/block].

    In at least float32; `stride` divides `block`. Blocks of padding alone have mass 0.
    """
    q, k = _grouped(prompt, stride, block)
    per_block, groups = block // stride, k.shape[2]
    scale = prompt.scores.scale / (stride * norm)
    step = max(1, ROWS // per_block) * per_block
    rows = []
    for start in range(0, groups, step):
        end = min(start + step, groups)
        logits = (q[:, :, :, start:end] * scale) @ k[:, :, None, :end].transpose(-1, -2)
        weights = logits.masked_fill(~_visible(prompt, start, end, stride), -torch.inf).softmax(-1).nan_to_num(0)
        weights = torch.nn.functional.pad(weights, (0, groups - end))
        rows.append(_split(_split(weights, -1, per_block).sum(-1), -2, per_block).sum(-2))
    return torch.cat(rows, 3)


def _grouped(prompt: LayerPrefill, stride: int, block: int) -> tuple[Tensor, Tensor]:
    """Lay the tokens of each group side by side, those of queries in reverse, zero at padding.

    q [B, H, G, S', stride D], k [B, H, S', stride D]; S' groups make up whole blocks.
    """
    live = prompt.live[:, None, :, None]
    more = -prompt.k.shape[2] % block
    q = _split(_padded(prompt.q.masked_fill(~live[:, None], 0), more, prompt.dtype), 3, stride)
    k = _split(_padded(prompt.k.masked_fill(~live, 0), more, prompt.dtype), 2, stride)
    return q.flip(4).flatten(4), k.flatten(3)


def _split(x: Tensor, dim: int, size: int) -> Tensor:
    """Split an axis into groups of so many entries, which become an axis behind it."""
    return x.unflatten(dim, (-1, size))  # type: ignore[no-untyped-call,no-any-return]


def _padded(x: Tensor, more: int, dtype: torch.dtype) -> Tensor:
    return torch.nn.functional.pad(x.to(dtype), (0, 0, 0, more))


def _visible(prompt: LayerPrefill, start: int, end: int, stride: int) -> Tensor:
    """Return which groups of keys 0 .. end - 1 each group of queries start .. end - 1 sees: [B, 1, 1, Q, N] bool.

    Earlier groups and its own, whole, as far as a window shows one of their tokens; groups of padding see nothing.
    """
    group = torch.arange(end, device=prompt.k.device)
    live = group * stride < prompt.live.sum(-1)[:, None]
    seen = (group <= group[start:, None]) & live[:, None] & live[:, start:, None]
    if prompt.window_mask is not None:
        window = prompt.window_mask[:, 0, start * stride : end * stride, : end * stride]
        more = (0, end * stride - window.shape[2], 0, (end - start) * stride - window.shape[1])
        tiles = _split(_split(torch.nn.functional.pad(window, more), 2, stride), 1, stride)
        seen = seen & tiles.any(-1).any(2)
    return seen[:, None, None]
