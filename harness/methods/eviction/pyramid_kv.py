"""Keeps what the end of the prompt looks at, more of it in lower layers: PyramidKV."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix
from harness.methods.about import About, Paper
from harness.methods.cost import LayerAt
from harness.methods.knob_types import Size
from harness.methods.pyramid import largest_k, share_of_layer
from harness.methods.ratio import Budget
from harness.methods.window_vote import Voters, WindowVote

__all__ = ["PyramidKV"]


@dataclass(frozen=True)
class PyramidKV(WindowVote):
    """Keeps k prompt tokens per layer on average, fewer from layer to layer, `window` last ones in each among them.

    `beta` says how steep: 1 is flat, at larger ones the last layer elects a `beta`-th of the mean. Prompts of less than
    twice what is elected on average get the mean in every layer, as in the released code. The published scripts have a
    `window` of 8; the code's own default is 64, with a `kernel` of 5 and "avg".
    """

    about: ClassVar[About] = About(
        title="PyramidKV",
        access="history",
        paper=Paper(
            title="PyramidKV: Dynamic KV Cache Compression based on Pyramidal Information Funneling",
            authors="Zefan Cai, Yichi Zhang, Bofei Gao, Yuliang Liu, Tianyu Liu, Keming Lu, Wayne Xiong, Yue Dong, "
            "Baobao Chang, Junjie Hu, Wen Xiao",
            year=2024,
            arxiv="2406.02069",
        ),
    )
    layered: ClassVar[bool] = True

    window: Voters = 8
    beta: Size = 20

    def elects(self, prefix: LayerPrefix, votes: Tensor) -> Tensor:
        """Count by what each row's prompt shows."""
        tokens = prefix.visible.sum((1, 2)).tolist()
        counts = [self.winners(of_row, prefix.layer, prefix.layers) for of_row in tokens]
        return torch.tensor(counts, device=votes.device)[:, None, None]

    def winners(self, tokens: int, layer: int, layers: int) -> int:
        """Count the winners beside the window in a layer that sees so many tokens of the prompt."""
        mean = self.k - self.window
        if tokens < 2 * mean:
            return mean
        return share_of_layer(mean, tokens - self.window, self.beta, layer, layers)

    def survivors(self, at: LayerAt) -> float:
        """Count the tokens that a KV head of the layer is left with, at most."""
        return self.left(at, self.winners(at.prompt, at.layer, at.layers))

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, by what the layers keep, which is more than k on average."""
        return largest_k(cls, budget, **fixed)
