"""Names Round Attention, which chooses rounds of a conversation: no task has them yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.methods.about import About, Paper
from harness.methods.knob_types import Count, Share
from harness.methods.unrunnable import Unrunnable

__all__ = ["RoundAttention"]


@dataclass(frozen=True)
class RoundAttention(Unrunnable):
    """Attends above layer `watershed` to the earlier rounds that hold a share `mass` of its attention.

    Decided once per question. From the abstract and captions (arXiv v3) alone: no code was released, and the knobs are
    our reading, to be checked against the paper.
    """

    about: ClassVar[About] = About(
        title="Round Attention",
        access="history",
        not_runnable="it chooses among earlier rounds of a conversation, and no task has rounds: on a single prompt it "
        "would be dense attention",
        paper=Paper(
            title="Round Attention: A Novel Round-Level Attention Mechanism to Accelerate LLM Inference",
            authors="Yaohua Tang, Zhicheng Hu, Kun Cheng, Fan Mo, Qiheng Lv, Hua Wang, Zhi Chen",
            year=2025,
            arxiv="2502.15294",
        ),
    )

    watershed: Count
    mass: Share = 0.9
