"""Scores tokens by few-bit labels of a fixed set of channels, then attends exactly to the best: Double Sparsity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.attention.calibration import ChannelMagnitude
from harness.attention.index.labelled import Heavy, Labelled, calibrator, magnitude, observed
from harness.attention.index.labels import EXACT, label_bits, quantised_label
from harness.attention.statistics import Statistic
from harness.methods.about import About, Paper
from harness.methods.best_tokens import BestTokens
from harness.methods.cost import Cost, LayerAt
from harness.methods.exemption import DenseLayers
from harness.methods.knob_types import Size
from harness.methods.ratio import Budget, rank_and_tokens

__all__ = ["DoubleSparsity"]


@dataclass(frozen=True, kw_only=True)
class DoubleSparsity(BestTokens[Labelled]):
    """Ranks tokens by the product of quantised labels of q and k, which are r channels; keeps k, the newest included.

    `channels` are those of the largest magnitude: "q", "k" (before rotation) and "qk" (after it) as measured on the
    task's first `calibration_prompts`, where the paper has 256 texts of the Pile; "prompt_k" and "prompt_qk" (ours) as
    measured on the row's own prompt, without training data. Applied to rotated vectors in every case, as released.
    The released code chooses per query head, with labels of its own for each; here a KV head chooses once, by channels
    and scores summed over the group, unless `per_query_head`. Paper's knobs: token_budget = k, group_factor = D / r.
    """

    about: ClassVar[About] = About(
        title="Double Sparsity",
        access="index",
        paper=Paper(
            title="Post-Training Sparse Attention with Double Sparsity",
            authors="Shuo Yang, Ying Sheng, Joseph E. Gonzalez, Ion Stoica, Lianmin Zheng",
            year=2024,
            arxiv="2408.07092",
        ),
        note="channels from the prompt by default, not from a calibration file; one choice per KV head, where the "
        "released code makes one per query head",
    )

    excused: ClassVar[Mapping[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "its channels are chosen once, on the whole prompt"
    }

    r: Size
    k: Size
    label_bits: Literal[2, 4, 8, 16] = 4
    channels: Heavy = "prompt_k"
    per_query_head: bool = False
    calibration_prompts: Size = 8
    dense_layers: DenseLayers = 2

    @property
    def observes(self) -> frozenset[Statistic]:
        """Ask for products of queries with their own keys, if the prompt's choose."""
        return observed(self.channels)

    @property
    def _own_labels(self) -> bool:
        """Return True if each query head has channels of its own."""
        return self.per_query_head and self.channels in ("q", "qk")

    @property
    def calibrator(self) -> ChannelMagnitude | None:
        """Measure channels beforehand, unless the prompt does."""
        return calibrator(self.channels, self.calibration_prompts)

    def start(self, prefix: LayerPrefix) -> Labelled:
        """Choose channels and label the prompt's keys."""
        return Labelled(prefix, magnitude(prefix, self.channels, self.per_query_head), self.r, self._label)

    def _label(self, x: Tensor) -> Tensor:
        return quantised_label(x, self.label_bits)

    def scores(self, step: Step, state: Labelled) -> Tensor:
        """Label the newest key and the queries, and multiply labels: [B, H, G, N]."""
        return state.scores(step, self._label)

    def kept(self, step: Step) -> int:
        """Count the tokens that are kept."""
        return self.k

    def cost(self, at: LayerAt) -> Cost:
        """Count n labels to choose, 2Dk to attend, 2D and a label to write: r bits/16 elements and 2 for lo and range.

        Where each query head chooses, at most its own k rows and its own labels are counted.
        """
        each = at.group if self.per_query_head else 1
        label = label_bits(min(self.r, at.head_dim), self.label_bits) * (at.group if self._own_labels else 1)
        attend = at.tokens(min(self.k * each, at.n))
        return Cost(choose=at.n * label, attend=attend, write=at.newest + label, held=at.cache + at.n * label)

    def coded(self, at: LayerAt) -> float:
        """Count the labels' elements, unless they are exact."""
        return 0.0 if self.label_bits >= EXACT else self.state_elements(at)

    def state_elements(self, at: LayerAt) -> float:
        """Count the labels as they are here: read back, not as codes."""
        return at.n * min(self.r, at.head_dim) * (at.group if self._own_labels else 1)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve r for a given k, or k for a given r; with neither, half of the budget goes to labels."""
        return rank_and_tokens(cls, budget, **fixed)
