"""Keeps the keys that point away from the average key: KeyDiff."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn.functional import normalize, pad

from harness.attention import LayerPrefix, gather_tokens, top_newest
from harness.methods.about import About, Paper
from harness.methods.knob_types import Size
from harness.methods.prompt_eviction import PromptEviction

__all__ = ["KeyDiff"]


@dataclass(frozen=True)
class KeyDiff(PromptEviction):
    """Keeps the k prompt tokens whose keys have the least cosine similarity to the mean of all keys' directions.

    A KV head chooses for itself, the prompt's last token may go too. With `block` the prompt comes in blocks of so many
    tokens behind its first k, and after each the best k so far stay, by the mean over those and the block (paper: 128).
    """

    about: ClassVar[About] = About(
        title="KeyDiff",
        access="history",
        note="evicts at the end of a dense prefill alone: the paper's blocks attend to what was kept of those before "
        "them, and it evicts while decoding too",
        paper=Paper(
            title="KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference in "
            "Resource-Constrained Environments",
            authors="Junyoung Park, Dalton Jones, Matthew J Morse, Raghavv Goel, Mingu Lee, Chris Lott",
            venue="NeurIPS",
            year=2025,
            arxiv="2504.15364",
        ),
    )

    block: Size | None = None

    def keep(self, prefix: LayerPrefix) -> Tensor:
        """Go through the blocks, or through one that is the rest of the prompt."""
        b, h, s, _ = prefix.k.shape
        first = prefix.visible.int().argmax(-1, keepdim=True)  # what is visible has no gaps
        place = torch.arange(s, device=prefix.k.device)
        precise = prefix.k.to(torch.promote_types(prefix.k.dtype, torch.float32))
        directions = pad(normalize(precise, dim=-1), (0, 0, 0, 1))
        kept = (first + place[: self.k]).expand(b, h, -1)
        for start in range(self.k, s, self.block or s):
            new = first + place[start : start + (self.block or s)]
            kept = _least_alike(directions, torch.cat([kept, new.expand(b, h, -1)], 2).clamp_max(s), self.k)
        marked = torch.zeros(b, h, s + 1, dtype=torch.bool, device=kept.device).scatter(2, kept.clamp_max(s), True)
        return marked[:, :, None, :s]


def _least_alike(directions: Tensor, columns: Tensor, k: int) -> Tensor:
    """Return the k of columns [B, H, C] least like the mean of directions [B, H, S + 1, D]; column S is no token."""
    among = gather_tokens(directions, columns)
    score = -(among @ among.sum(2)[..., None])[..., 0]  # the length of the mean changes no order
    score = score.masked_fill(columns == directions.shape[2] - 1, -torch.inf)
    return columns.gather(2, top_newest(score, k, columns))
