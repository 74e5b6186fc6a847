"""H2O's decode step on the GPU (Zhang et al., NeurIPS 2023, arXiv 2306.14048): harness/methods/h2o.py over KVCache."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention import top_newest
from harness.kernels.attend import attend
from harness.kernels.cache import KVCache


@dataclass
class Heavy:
    """Columns that are still cached [B, H, K] int32 and the weight each has received [B, H, K] float32."""

    column: Tensor
    score: Tensor


def h2o(
    q: Tensor, cache: KVCache, state: Heavy, *, k: int, local: int | None = None, scale: float | None = None
) -> Tensor:
    """H2O attention [B, H, G, D]; the newest token must be in the cache already. Rows must have k + 1 live tokens.

    Admits that token, keeps k + 1 for good (those of age <= local among them) and adds the step's weights to `state`.
    """
    b, h = q.shape[:2]
    newest = (cache.stop - 1)[:, None, None].expand(b, h, 1)
    column = torch.cat([state.column, newest], -1)
    score = torch.cat([state.score, state.score.new_zeros(b, h, 1)], -1)
    recent = newest - column <= (k // 4 if local is None else local)
    dead = column < cache.start[:, None, None]
    kept = top_newest(score.masked_fill(recent, torch.inf).masked_fill(dead, -torch.inf), k + 1, column)
    state.column = column.gather(2, kept)
    logits = torch.empty(*q.shape[:3], state.column.shape[2], device=q.device)
    output = attend(q, cache, state.column, logits=logits, scale=scale)
    state.score = score.gather(2, kept) + logits.softmax(-1).mean(2)
    return output
