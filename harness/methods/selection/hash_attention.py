"""Names HashAttention, which needs modules trained for each model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from harness.methods.about import About, Paper
from harness.methods.knob_types import Size
from harness.methods.unrunnable import Unrunnable

__all__ = ["HashAttention"]


@dataclass(frozen=True)
class HashAttention(Unrunnable):
    """Attends to the `heavy_size` tokens whose learnt signature of `bits` signs agrees most with that of the query.

    Random signatures would be another method, and must not be called so.
    """

    about: ClassVar[About] = About(
        title="HashAttention",
        access="index",
        not_runnable="it needs modules that were trained for the model, and methods here are free of training",
        paper=Paper(
            title="HashAttention: Semantic Sparsity for Faster Inference",
            authors="Aditya Desai, Shuo Yang, Alejandro Cuadron, Matei Zaharia, Joseph E. Gonzalez, Ion Stoica",
            year=2024,
            arxiv="2412.14468",
        ),
    )

    heavy_size: Size
    bits: Size = 32
