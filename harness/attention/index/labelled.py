"""Scores tokens by labels: a few channels of rotated K, the same ones at every step, quantised (Double Sparsity)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from torch import Tensor

from harness.attention.calibration import ChannelMagnitude
from harness.attention.index.channels import key_magnitude, largest_channels, take_channels
from harness.attention.index.grown import Grown
from harness.attention.statistics import QueryKeyMagnitude, Statistic
from harness.attention.step import LayerPrefix, Step

Heavy = Literal["q", "k", "qk", "prompt_k", "prompt_qk"]
"""Says by what channels are chosen: the first three were measured beforehand, the others on the row's own prompt."""
Quantised = Callable[[Tensor], Tensor]
"""Rounds the entries of a label as codes would."""


def observed(heavy: Heavy) -> frozenset[Statistic]:
    """Return the statistics of the prompt by which channels are chosen: products of queries with their own keys."""
    return frozenset({QueryKeyMagnitude()} if heavy == "prompt_qk" else ())


def calibrator(heavy: Heavy, prompts: int) -> ChannelMagnitude | None:
    """Return what measures channels beforehand, unless the prompt does."""
    match heavy:
        case "q" | "k" | "qk":
            return ChannelMagnitude(prompts, heavy)
        case _:
            return None


def magnitude(prefix: LayerPrefix, heavy: Heavy, per_query_head: bool) -> Tensor:
    """Return magnitudes of channels, [B or 1, H, C, D], C = G where query heads have channels of their own, or 1."""
    if heavy == "prompt_k":
        return key_magnitude(prefix.k)
    if heavy == "prompt_qk":
        return prefix.statistics[QueryKeyMagnitude()][:, :, None]
    found: Tensor = prefix.calibration[None]
    return found if per_query_head else found.sum(2, keepdim=True)


class Labelled:
    """Holds channels [B or 1, H, C, r], C of them per KV head, and the `labels` of all tokens, [B, H C, N, r]."""

    def __init__(self, prefix: LayerPrefix, magnitudes: Tensor, r: int, quantised: Quantised) -> None:
        self.channels = largest_channels(magnitudes, r)
        self.head_dim = prefix.k.shape[3]
        self._quantised = quantised
        rows = quantised(take_channels(prefix.k[:, :, None], self.channels))
        self.labels = Grown(rows.flatten(1, 2), prefix.decode_steps)

    def scores(self, step: Step, quantised_query: Quantised) -> Tensor:
        """Label the newest key, and multiply labels with those of the queries: [B, H, G, N]."""
        b, h, _, d = step.q.shape
        c, r = self.channels.shape[2:]
        newest = self._quantised(take_channels(step.k[:, :, None, -1:], self.channels))
        labels = self.labels.append(newest.view(b, h * c, r)).view(b, h, c, -1, r)
        q = quantised_query(take_channels(step.q.reshape(b, h, c, -1, d), self.channels))
        return step.scores(q, labels).flatten(2, 3)
