"""Computes Twilight: of the tokens that another method proposes, the fewest that hold a share p of the attention.

A few-bit copy of K estimates the weights; attention over what survives is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_where, softmax
from harness.attention.calibration import ChannelMagnitude
from harness.attention.index.grown import Grown
from harness.attention.index.labelled import Heavy, calibrator, observed
from harness.attention.index.labels import label_bits, quantised_key
from harness.attention.mass import bisected, fewest
from harness.attention.statistics import Statistic
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.exemption import DenseLayers
from harness.methods.knob_types import Share, Size
from harness.methods.proposers import BestChannels, BestLabels, BestPages, Everything, Proposer
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["Twilight"]

SURVIVING = 0.25
"""Share of the proposed tokens that is taken to survive when knobs are solved (ours: it depends on the data)."""


@dataclass
class Estimator:
    """Holds the columns of the first live tokens [B], the proposer's index, the copy of K, and what was moved."""

    first: Tensor
    index: Any
    keys: Grown
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, kw_only=True)
class Twilight(Method[Estimator]):
    """Attends to the fewest of the proposed tokens whose estimated weights sum to p, renormalised over them.

    `base` proposes `token_budget` tokens (as released: 8192) by Quest's bounds of pages, Double Sparsity's labels,
    SparQ's channels (in place of the last two's r: half of D), or proposes "full", all of them. A KV head proposes
    once, by scores summed over the group, its query heads prune each for itself, and all attend to what any of them
    keeps (our reading of the paper, whose kernels for this are not released); with `per_query_head` each head does all
    for itself, as the released Python code. `estimate_bits` of 16 are exact weights. `released_kernel` keeps more: its
    bisection stops at the weight of token 0. `channels` of labels are those of the prompt by default (released: "q").
    """

    about: ClassVar[About] = About(
        title="Twilight",
        access="index",
        paper=Paper(
            title="Twilight: Adaptive Attention Sparsity with Hierarchical Top-p Pruning",
            authors="Chaofan Lin, Jiaming Tang, Shuo Yang, Hanshuo Wang, Tian Tang, Boyu Tian, Ion Stoica, Song Han, "
            "Mingyu Gao",
            venue="NeurIPS",
            year=2025,
            arxiv="2502.02770",
        ),
        note="a KV head proposes once, and its query heads attend to what any of them keeps; labels have channels of "
        "the prompt by default",
    )
    measured: ClassVar[bool] = True  # how many tokens survive depends on the data
    excused: ClassVar[Mapping[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "bounds and channels of its base are those of tokens "
        "of which a window may have dropped a part",
        "a_sliding_window_equals_starting_anew_at_every_step": "its base may choose channels once, on the whole prompt",
    }

    token_budget: Size | None
    p: Share = 0.85
    base: Literal["full", "quest", "double_sparsity", "sparq"] = "quest"
    page_size: Size = 16
    r: Size | None = None
    label_bits: Literal[2, 4, 8, 16] = 2
    channels: Heavy = "prompt_k"
    estimate_bits: Literal[2, 4, 8, 16] = 4
    released_kernel: bool = False
    per_query_head: bool = False
    calibration_prompts: Size = 8
    dense_layers: DenseLayers = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_budget is None and self.base != "full":
            raise InputError(f"Twilight needs token_budget as an integer of at least 1 over base={self.base}, not None")

    @property
    def observes(self) -> frozenset[Statistic]:
        """Ask for what the labels' channels are chosen by."""
        return observed(self.channels) if self.base == "double_sparsity" else frozenset()

    @property
    def calibrator(self) -> ChannelMagnitude | None:
        """Measure the labels' channels beforehand, unless the prompt does."""
        return calibrator(self.channels, self.calibration_prompts) if self.base == "double_sparsity" else None

    @property
    def _proposer(self) -> Proposer:
        common = (self.token_budget or 1, self.per_query_head)
        match self.base:
            case "full":
                return Everything(*common)
            case "quest":
                return BestPages(*common, self.page_size)
            case "double_sparsity":
                return BestLabels(*common, self.r, self.label_bits, self.channels)
            case "sparq":
                return BestChannels(*common, self.r)

    def start(self, prefix: LayerPrefix) -> Estimator:
        """Build the base's index and the copy of the prompt's keys."""
        keys = Grown(quantised_key(prefix.k, self.estimate_bits), prefix.decode_steps)
        return Estimator(prefix.first, self._proposer.start(prefix), keys)

    def attend(self, step: Step, state: Estimator) -> Tensor:
        """Propose, estimate the weights of what is proposed, prune, attend exactly to the rest."""
        proposed = self._proposer.propose(step, state.index)
        keys = state.keys.append(quantised_key(step.k[:, :, -1], self.estimate_bits))
        weights = softmax(step.scores(step.q, keys), proposed)
        kept = self._prune(weights, state.first) & proposed
        if not self.per_query_head:
            kept = kept.any(2, keepdim=True)
        self._note(step, state, proposed.any(2).sum(2), kept.any(2).sum(2))
        return attend_where(step, kept)

    def _prune(self, weights: Tensor, first: Tensor) -> Tensor:
        """Return which tokens survive of those with weights [B, H, G, N]; at p = 1 all do, as sums are rounded."""
        if self.p >= 1:
            return torch.ones_like(weights, dtype=torch.bool)
        if not self.released_kernel:
            return fewest(weights, self.p)
        sink = weights.gather(3, first[:, None, None, None].expand(*weights.shape[:3], 1))
        return bisected(weights, sink, self.p)

    def meter(self, state: Estimator) -> Meter:
        """Return what was moved."""
        return state.meter

    def _note(self, step: Step, state: Estimator, proposed: Tensor, kept: Tensor) -> None:
        """Note the bits of a step in which each KV head estimated and attended to so many tokens, [B, H]."""
        _, h, g, d = step.q.shape
        seen = step.mask.sum((1, 2))
        static = {n: self._static(LayerAt(n, d, n, h, g)) for n in set(seen.tolist())}
        fixed = torch.tensor([static[n].moved for n in seen.tolist()], dtype=torch.float64, device=kept.device)
        estimated = proposed * label_bits(d, self.estimate_bits)
        state.meter.note(fixed[:, None] + estimated + kept * (2 * d * ELEMENT))

    def _static(self, at: LayerAt) -> Cost:
        """Count what does not depend on the data: the base's index, the copy of K as held, what is written."""
        base, row = self._proposer.cost(at), label_bits(at.head_dim, self.estimate_bits)
        copy = at.n * row if self.estimate_bits < ELEMENT else 0
        return Cost(base.choose, write=at.newest + row + base.write, held=at.cache + copy + base.held)

    def cost(self, at: LayerAt) -> Cost:
        """Estimate: the base's reads, the copy of what it proposes, and a quarter of that as attended to (ours)."""
        proposed = self._proposer.tokens(at.n)
        if self.per_query_head:
            proposed = min(at.n, proposed * at.group)
        estimate = proposed * label_bits(at.head_dim, self.estimate_bits)
        return self._static(at) + Cost(choose=estimate, attend=at.tokens(SURVIVING * proposed))

    def state_elements(self, at: LayerAt) -> float:
        """Count the index of the base, and the copy of K, which is held here as numbers in place of codes."""
        return self._proposer.state_elements(at) + at.n * at.head_dim

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve what the base proposes, a quarter of which is taken to survive; p stays as it is."""
        given = without_null({**fixed, "token_budget": None})
        base, size = (given.get(knob, getattr(cls, knob)) for knob in ("base", "page_size"))
        size = size if base == "quest" else 1
        most = -(-budget.tokens // size) * size
        return largest_knob(
            lambda token_budget: cls(**given, token_budget=None if base == "full" else token_budget // size * size),
            "token_budget",
            (most if base == "full" else size, most),
            budget,
        )
