"""Sums what each prompt token receives of softmaxes with Gumbel noise and a temperature: Keyformer's score."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from harness.attention.draws import gumbel
from harness.attention.statistics.blocks import Block, LayerPrompt
from harness.attention.statistics.walk import Statistic


@dataclass(frozen=True)
class GumbelReceived(Statistic):
    """Sums softmax((logit + g) / tau) over the live queries, averaged over a group: [B, H, S].

    g is standard Gumbel noise that depends on the seed, the layer, the KV head and the positions of query and key among
    a row's live tokens: all query heads of a group share it, and batch neighbours, padding and blocks change nothing.
    No noise where `seed` is None.
    """

    tau: float
    seed: int | None

    def begin(self, prompt: LayerPrompt) -> Tensor:
        """Start from nothing."""
        return prompt.full(*prompt.k.shape[:3])

    def fold(self, so_far: Tensor, block: Block) -> None:
        """Add what the block's queries give, one KV head after the other."""
        share = block.live[:, None, :].to(so_far.dtype) / block.q.shape[2]
        for head in range(so_far.shape[1]):
            logits = (block.logits[:, head] + self._noise(block, head)) / self.tau
            weights = logits.softmax(-1).nan_to_num(0)  # a padded query sees nothing
            so_far[:, head, : block.end] += (share[..., None] * weights).sum((1, 2)).to(so_far.dtype)

    def _noise(self, block: Block, head: int) -> Tensor | float:
        """Draw the noise of the block's queries and their keys, [B or 1, 1, Q, N]."""
        if self.seed is None:
            return 0
        first = block.prompt.live.int().argmax(-1)
        if bool((first == first[0]).all()):  # as in every prefill of left-aligned prompts
            first = first[:1]
        column = torch.arange(block.end, device=first.device)
        position = (column - first[:, None, None]).clamp_min(0)  # padding in front is not seen, whatever it draws
        query, key = position[..., block.start :].transpose(1, 2), position
        return gumbel(self.seed, block.prompt.layer, head, query, key)[:, None].to(block.logits.dtype)
