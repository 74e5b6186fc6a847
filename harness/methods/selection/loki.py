"""Scores tokens in the first principal components of the keys, then attends exactly to the best: Loki."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step
from harness.attention.best import Counted
from harness.attention.calibration import Axes, PrincipalAxes, explaining, principal_axes
from harness.attention.index.grown import Grown
from harness.methods.about import About, Paper
from harness.methods.best_tokens import BestTokens
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Is, Size
from harness.methods.ratio import Budget, rank_and_tokens

__all__ = ["Loki"]

Part = Annotated[
    int | float,
    Is(
        "an integer of at least 1, or a share below 1",
        lambda value: value >= 1 if isinstance(value, int) else 0 < value < 1,
    ),
]
"""Counts something, or is a share of it."""


@dataclass
class Projected:
    """Holds axes [B or 1, H, D, R], of which a row uses as many as its `rank` [B] says, and all keys along them."""

    axes: Tensor
    rank: Tensor
    keys: Grown
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, kw_only=True)
class Loki(BestTokens[Projected]):
    """Ranks tokens by logits in r principal components of rotated keys, without their mean; keeps k, no token for sure.

    A share r is the variance that is to be explained in the layer's worst head, a share k is of the live tokens,
    rounded down (released code: k = 1 stands for all of them, here any k from their number on does). `components` are
    those of the row's own prompt (ours), or "calibrated" on the task's first `calibration_prompts`, where the paper has
    Wikitext, from keys before or after rotation ("calibrated_unrotated": applied to rotated vectors all the same, as
    released). The released code chooses per query head, here a KV head does unless `per_query_head`. It stores K in the
    full basis, of which r components are a slice; here they are a copy beside K, which is written and held.
    """

    about: ClassVar[About] = About(
        title="Loki",
        access="index",
        paper=Paper(
            title="Loki: Low-rank Keys for Efficient Sparse Attention",
            authors="Prajwal Singhania, Siddharth Singh, Shwai He, Soheil Feizi, Abhinav Bhatele",
            venue="NeurIPS",
            year=2024,
            arxiv="2406.02542",
        ),
        note="components from the prompt by default, not from a calibration text; one choice per KV head and in decode "
        "steps only, where published accuracies choose per query head and in the prefill too",
    )
    rounds_at_start: ClassVar[bool] = True  # projected keys are held in the cache's type
    excused: ClassVar[Mapping[str, str]] = {
        "a_sliding_window_equals_starting_anew_at_every_step": "its axes are found once, on the whole prompt",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "its axes are found once, on the whole prompt",
    }

    r: Part
    k: Part
    components: Literal["prompt", "calibrated", "calibrated_unrotated"] = "prompt"
    per_query_head: bool = False
    calibration_prompts: Size = 8

    @property
    def calibrator(self) -> PrincipalAxes | None:
        """Find axes beforehand, unless the prompt's are used."""
        if self.components == "prompt":
            return None
        return PrincipalAxes(self.calibration_prompts, self.components == "calibrated")

    @property
    def measured(self) -> bool:
        """Return True where the data decide how many components are read."""
        return self.r < 1

    def meter(self, state: Projected) -> Meter | None:
        """Return the meter of a layer, if one is kept."""
        return state.meter if self.measured else None

    def start(self, prefix: LayerPrefix) -> Projected:
        """Find the axes, and project the prompt's keys once."""
        b, d = len(prefix.k), prefix.k.shape[3]
        found = principal_axes(prefix.k, prefix.mask) if self.components == "prompt" else _batched(prefix.calibration)
        rank = explaining(found.variance, self.r) if self.r < 1 else torch.tensor([min(int(self.r), d)])
        rank = rank.to(prefix.k.device).expand(b)
        axes = found.rows[..., : int(rank.max()), :].mT
        used = torch.arange(axes.shape[-1], device=rank.device) < rank[:, None]
        axes = (axes * used[:, None, None]).to(prefix.k)
        return Projected(axes, rank, Grown(prefix.k @ axes, prefix.decode_steps))

    def scores(self, step: Step, state: Projected) -> Tensor:
        """Project the newest key and the queries, and compute logits of projections."""
        axes = state.axes.to(step.q.dtype)
        keys = state.keys.append((step.k[:, :, -1:] @ axes)[:, :, 0])
        if self.measured:
            self._note(step, state)
        return step.scores(step.q @ axes, keys.to(step.q.dtype))

    def kept(self, step: Step) -> Counted:
        """Count the tokens that are kept: a share of each row's live ones is rounded down, to one at least (ours)."""
        return int(self.k) if self.k >= 1 else (self.k * step.mask.sum((1, 2)).double()).long().clamp_min(1)

    def _note(self, step: Step, state: Projected) -> None:
        """Count what a step moves with as many components as each row uses."""
        heads, group, n, d = step.k.shape[1], step.q.shape[2], step.mask.sum((1, 2)), step.k.shape[3]
        kept = torch.as_tensor(self.kept(step), device=n.device) * (group if self.per_query_head else 1)
        rows = 2 * d * (torch.minimum(kept, n) + 1)
        state.meter.note(heads * ELEMENT * (state.rank * (n + 1) + rows).double())

    def cost(self, at: LayerAt) -> Cost:
        """Count rn elements to choose, 2Dk to attend, 2D + r to write; all D components if the data decide how many.

        Where each query head chooses, at most its own k rows are counted.
        """
        r = at.head_dim if self.r < 1 else min(int(self.r), at.head_dim)
        kept = int(self.k) if self.k >= 1 else max(1, int(self.k * at.n))
        attend = at.tokens(min(kept * (at.group if self.per_query_head else 1), at.n))
        copy = at.elements(r * at.n)
        return Cost(choose=copy, attend=attend, write=at.newest + at.elements(r), held=at.cache + copy)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve r for a given k, or k for a given r; with neither, r = D/ratio and k as near to S/(2 ratio) as fits."""
        return rank_and_tokens(cls, budget, **fixed)


def _batched(axes: Axes) -> Axes:
    """Give axes of a layer to all rows of a batch."""
    return Axes(axes.rows[None], axes.variance[None])
