"""Cuts a prompt as one layer attends to it into blocks of queries, whose attention weights are computed when needed.

Nothing of size S x S is ever held. Shape legend: harness/attention/__init__.py; Q is the number of queries in a block,
N the number of tokens up to its last query.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from harness.attention.rope import Rope
from harness.attention.scores import Scores

BLOCK = 128


@dataclass(frozen=True)
class LayerPrompt:
    """Holds q [B, H, G, S, D] and k [B, H, S, D] of a causal prefill, rotated.

    mask [B, S] bool, False at padding on either side, None if there is none; window_mask [B or 1, 1, S, S] bool
    replaces plain causality (sliding windows). `layer` is the layer's number, `rope` its rotary embedding, `inputs`
    [B, S, E] the hidden states that entered attention, for what needs them.
    """

    q: Tensor
    k: Tensor
    mask: Tensor | None
    scores: Scores
    window_mask: Tensor | None = None
    layer: int = 0
    rope: Rope | None = None
    inputs: Tensor | None = None

    @cached_property
    def live(self) -> Tensor:
        """Return the mask [B, S] bool, True everywhere if there is no padding."""
        if self.mask is not None:
            return self.mask
        return torch.ones(self.q.shape[0], self.q.shape[3], dtype=torch.bool, device=self.q.device)

    @cached_property
    def time(self) -> Tensor:
        """Number the live tokens of each row from 1: [B, S]; padding repeats the number before it."""
        return self.live.cumsum(-1)

    @property
    def dtype(self) -> torch.dtype:
        """Return what statistics are gathered in: float32, or float64 where the keys are."""
        return torch.promote_types(self.k.dtype, torch.float32)

    def full(self, *shape: int, filler: float = 0) -> Tensor:
        """Make a tensor to gather a statistic in."""
        return torch.full(shape, filler, dtype=self.dtype, device=self.k.device)

    def newest(self, count: int) -> tuple[Tensor, Tensor]:
        """Find the last `count` live tokens of each row: columns [B, count], oldest first, and which exist, a bool.

        Rows of fewer live tokens have columns that do not exist in front.
        """
        s = self.live.shape[1]
        numbered = self.live * torch.arange(1, s + 1, device=self.live.device)
        last = numbered.topk(min(count, s)).values.flip(-1)
        last = torch.nn.functional.pad(last, (count - last.shape[1], 0))
        return (last - 1).clamp_min(0), last > 0

    def blocks(self) -> Iterator[Block]:
        """Yield the blocks of queries from the first to the last."""
        s = self.q.shape[3]
        for start in range(0, s, BLOCK):
            yield Block(self, start, min(start + BLOCK, s))


@dataclass(frozen=True)
class Block:
    """Holds the consecutive queries in columns `start` .. `end` - 1 of a prompt, and the N = `end` keys up to them.

    What it computes it computes once, when first asked. A padded query may have weights: leave out what `live` hides.
    """

    prompt: LayerPrompt
    start: int
    end: int

    @property
    def q(self) -> Tensor:
        """Return the queries, [B, H, G, Q, D]."""
        return self.prompt.q[:, :, :, self.start : self.end]

    @property
    def k(self) -> Tensor:
        """Return the keys of the same tokens, [B, H, Q, D]."""
        return self.prompt.k[:, :, self.start : self.end]

    @property
    def live(self) -> Tensor:
        """Return which queries are no padding, [B, Q] bool."""
        return self.prompt.live[:, self.start : self.end]

    @property
    def time(self) -> Tensor:
        """Return the number of each query among its row's live ones, from 1: [B, Q]."""
        return self.prompt.time[:, self.start : self.end]

    @cached_property
    def logits(self) -> Tensor:
        """Compute the logits [B, H, G, Q, N], as the architecture caps them, -inf where a query does not look."""
        p, start, end = self.prompt, self.start, self.end
        b, h, g, _, d = p.q.shape
        logits = p.scores(self.q.reshape(b, h, -1, d), p.k[:, :, :end]).view(b, h, g, -1, end)
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if p.window_mask is None:
            future = torch.ones(end - start, end - start, dtype=torch.bool, device=p.q.device).triu(1)
            logits[..., start:].masked_fill_(future, -torch.inf)
        else:
            logits.masked_fill_(~p.window_mask[:, :, None, start:end, :end], -torch.inf)
        if p.mask is not None:
            logits.masked_fill_(~p.mask[:, None, None, None, :end], -torch.inf)
        return logits

    @cached_property
    def weights(self) -> Tensor:
        """Compute the attention weights [B, H, G, Q, N], all 0 for a query that sees nothing."""
        weights = self.logits.softmax(-1)
        if self.prompt.mask is not None:
            weights.nan_to_num_(0)  # a padded query sees nothing
        return weights
