"""Keeps the keys with the smallest norm: they draw the most attention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from harness.attention import LayerPrefix, are_best
from harness.methods.about import About, Paper
from harness.methods.prompt_eviction import PromptEviction

__all__ = ["KNorm"]


@dataclass(frozen=True)
class KNorm(PromptEviction):
    """Keeps the k prompt tokens whose keys are shortest in a KV head; the prompt's last token may go too."""

    about: ClassVar[About] = About(
        title="Key norm",
        access="history",
        note="evicts at the end of the prompt alone, where the paper also does so while decoding; norms say little "
        "where the model normalises its keys",
        paper=Paper(
            title="A Simple and Effective L2 Norm-Based Strategy for KV Cache Compression",
            authors="Alessio Devoto, Yu Zhao, Simone Scardapane, Pasquale Minervini",
            venue="EMNLP",
            year=2024,
            arxiv="2406.11430",
        ),
    )

    def keep(self, prefix: LayerPrefix) -> Tensor:
        """Rank keys by their length; a rotation does not change it."""
        precise = prefix.k.to(torch.promote_types(prefix.k.dtype, torch.float32))
        shortness = (-precise.norm(dim=-1)).masked_fill(~prefix.visible, -torch.inf)
        return are_best(shortness, self.k)[:, :, None]
