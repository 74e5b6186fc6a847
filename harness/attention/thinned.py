"""Attends to a cache of whose keys some channels are gone, but for the most recent tokens."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.scores import softmax
from harness.attention.selection import age, gather_mask, gather_tokens, own_columns
from harness.attention.step import LayerPrefix, Step
from harness.attention.survivors import Survivors


class Thinned:
    """Holds which channels the prompt's keys have left, and which of its tokens are left, for good.

    channels [B, H, G or 1, D] bool are those that each query head, or the group, still has of every token but the last
    `recent` of those that a KV head keeps, and newer ones. kept [B, H, G or 1, S] bool, None for all tokens, is as
    `Survivors` has it. A KV head reads what any of its query heads has.
    """

    def __init__(self, prefix: LayerPrefix, channels: Tensor, recent: int, kept: Tensor | None = None) -> None:
        self.channels, self.own = own_columns(channels)
        self.thin = max(0, prefix.k.shape[2] - recent)  # rows end at the same column
        self._parts: tuple[Survivors, Survivors] | None = None
        if kept is not None:
            kept = kept & prefix.visible[:, :, None]
            whole = (age(kept.any(2)) < recent)[:, :, None]
            self._parts = Survivors(prefix, kept & ~whole), Survivors(prefix, kept & whole)
            self.thin = self._parts[0].index.shape[2]

    def attend(self, step: Step) -> Tensor:
        """Attend to thin keys by their channels, to the others by all: the output [B, H, G, D]."""
        k, v, own = self._rows(step)
        among = self.channels[:, :, None]
        q = step.q.gather(3, among.expand(-1, -1, step.q.shape[2], -1)).masked_fill(~self.own, 0)
        thin = k[:, :, : self.thin].gather(3, among.expand(-1, -1, self.thin, -1))
        logits = torch.cat([step.scores(q, thin), step.scores(step.q, k[:, :, self.thin :])], -1)
        return softmax(logits, own).to(v.dtype) @ v

    def _rows(self, step: Step) -> tuple[Tensor, Tensor, Tensor]:
        """Return K and V [B, H, K, D], thin rows first, and which of them are each query head's, [B, H, G or 1, K]."""
        if self._parts is None:
            return step.k, step.v, step.mask[:, :, None]
        older, rest = self._parts
        index, own = rest.columns(step)
        seen = older.own & gather_mask(step.mask, older.index)[:, :, None]
        index = torch.cat([older.index, index], 2)
        return gather_tokens(step.k, index), gather_tokens(step.v, index), torch.cat([seen, own], 3)
