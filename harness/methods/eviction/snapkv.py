"""Keeps what the end of the prompt looks at: SnapKV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from harness.attention import LayerPrefix
from harness.methods.about import About, Paper
from harness.methods.window_vote import WindowVote

__all__ = ["SnapKV"]


@dataclass(frozen=True)
class SnapKV(WindowVote):
    """Keeps k prompt tokens: the last `window`, and those with the most votes of their queries.

    The authors repeat keys for every query head first, which is `group` "none": its cache is up to G times as large.
    """

    about: ClassVar[About] = About(
        title="SnapKV",
        access="history",
        paper=Paper(
            title="SnapKV: LLM Knows What You are Looking for Before Generation",
            authors="Yuhong Li, Yingbing Huang, Bowen Yang, Bharat Venkitesh, Acyr Locatelli, Hanchen Ye, Tianle Cai, "
            "Patrick Lewis, Deming Chen",
            venue="NeurIPS",
            year=2024,
            arxiv="2404.14469",
        ),
    )

    def elects(self, prefix: LayerPrefix, votes: Tensor) -> int | Tensor:
        """Count k less the window."""
        return self.k - self.window
