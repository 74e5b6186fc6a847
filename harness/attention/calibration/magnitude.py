"""Measures how large each channel of queries and keys is, by which Double Sparsity chooses channels beforehand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from harness.attention.calibration.base import Calibrator, unrotated
from harness.attention.prefill import LayerPrefill

Measured = Literal["q", "k", "qk"]


class Total(NamedTuple):
    """Holds magnitudes summed over so many tokens."""

    total: Tensor
    tokens: int


@dataclass(frozen=True)
class ChannelMagnitude(Calibrator[Total]):
    """Averages a magnitude of each channel over all tokens of all prompts: [H, G, D], or [H, 1, D] for keys alone.

    "q" |q_c| and "k" |k_c| before rotation; "qk" |q_c k_c| of a token with itself, after it. Source: the released
    offline calibration of Double Sparsity (arXiv 2408.07092), which for "qk" keeps its last block of text only; here
    all count.
    """

    of: Measured

    @property
    def unrotates(self) -> bool:
        """Return True where activations are measured before rotation."""
        return self.of != "qk"

    def fold(self, so_far: Total | None, prompt: LayerPrefill) -> Total:
        """Add a prompt's magnitudes."""
        q, k = prompt.q[0], prompt.k[0][:, None]
        of = {"q": lambda: unrotated(prompt, q), "k": lambda: unrotated(prompt, k), "qk": lambda: q * k}
        added = Total(of[self.of]().abs().sum(-2, dtype=torch.float64), q.shape[-2])
        return added if so_far is None else Total(so_far.total + added.total, so_far.tokens + added.tokens)

    def finish(self, found: Total) -> Tensor:
        """Divide by the tokens."""
        return found.total / found.tokens
