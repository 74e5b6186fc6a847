"""Moves tokens between columns, in which rows end together, and places, in which their first live tokens are first."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.attention.selection import gather_tokens
from harness.attention.step import LayerPrefix


def aligned(x: Tensor, prefix: LayerPrefix) -> Tensor:
    """Return x [B, H, S, D], K or V of the prompt or what was made of it, by places, zero behind a row's last token.

    It ends with the longest row: [B, H, S - min first, D].
    """
    s, first = x.shape[2], prefix.first
    column = torch.arange(s - int(first.min()), device=x.device) + first[:, None]
    moved = gather_tokens(x, column.clamp_max(s - 1)[:, None].expand(-1, x.shape[1], -1))
    return moved.masked_fill_((column >= s)[:, None, :, None], 0)


def by_column(x: Tensor, first: Sequence[int]) -> Tensor:
    """Return x [B, H, N - min first, D] by places moved to the columns of rows that begin in `first`, [B, H, N, D].

    Columns in front of them are zero.
    """
    if not any(first):
        return x
    b, h, n, d = x.shape
    out = x.new_zeros(b, h, n + min(first), d)
    for row, start in enumerate(first):
        out[row, :, start:] = x[row, :, : out.shape[2] - start]
    return out


def mask_by_place(mask: Tensor, first: Sequence[int]) -> Tensor:
    """Return mask [B, 1, N] by places, [B, 1, N - min first], of rows whose live tokens begin in columns `first`."""
    if not any(first):
        return mask
    n = mask.shape[2]
    column = torch.arange(n - min(first), device=mask.device) + torch.tensor(first, device=mask.device)[:, None, None]
    return mask.gather(2, column.clamp_max(n - 1)) & (column < n)


def put_at(out: Tensor, places: Tensor, x: Tensor) -> None:
    """Write tokens x [B, H, n, D] to their places [B, n] of out [B, H, N + 1, D]; those of place N are for nobody."""
    b, h, n, d = out.shape
    start = torch.arange(b * h, device=out.device).view(b, h, 1) * n
    out.view(-1, d).index_copy_(0, (start + places[:, None]).flatten(), x.reshape(-1, d).to(out.dtype))
