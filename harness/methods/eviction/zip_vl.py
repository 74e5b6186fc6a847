"""Names ZipVL, which keeps the tokens that hold a share of the attention: what it does exactly was never released."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.methods.about import About, Paper
from harness.methods.knob_types import Share
from harness.methods.unrunnable import Unrunnable

__all__ = ["ZipVL"]


@dataclass(frozen=True)
class ZipVL(Unrunnable):
    """Keeps as many tokens of a layer as the largest need to hold a share `tau` of the attention that all receive.

    Which, their normalised attention says; others take no part in the prefill and leave the cache at its end. From
    excerpts of the paper (arXiv v2) and summaries: to be checked against it.
    """

    about: ClassVar[About] = About(
        title="ZipVL",
        access="history",
        not_runnable="no code was released, and the paper as far as it was read leaves open how the attention of a "
        "layer's heads becomes one choice: nothing independent could tell whether numbers under its name are its own",
        paper=Paper(
            title="ZipVL: Efficient Large Vision-Language Models with Dynamic Token Sparsification",
            authors="Yefei He, Feng Chen, Jing Liu, Wenqi Shao, Hong Zhou, Kaipeng Zhang, Bohan Zhuang",
            year=2024,
            arxiv="2410.08584",
        ),
    )

    tau: Share = 0.975
