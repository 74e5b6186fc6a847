"""Keeps tokens that got a large weight from a recent query, and the most recent ones: Scissorhands."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import (
    LayerPrefix,
    Meter,
    Slots,
    Step,
    age,
    attend_to,
    columns_of,
    gather_mask,
    gather_tokens,
    softmax,
    top_newest,
)
from harness.attention.statistics import BelowEven, LastPivotal, Statistic, next_largest, pivotal_counts, times_noted
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import AtLeast, Count, Is, Size, SolvedWhere
from harness.methods.ratio import Budget, largest_knob

__all__ = ["Scissorhands"]

Pivotal = Annotated[
    int | float,
    Is(
        "a number of largest weights, or a share of the prompt's tokens below 1",
        lambda value: value >= 1 if isinstance(value, int) else 0 < value < 1,
    ),
]
"""Counts the weights of a query that are large."""


@dataclass
class History:
    """Holds what queries gave each token, `history`, and how many live tokens each row has, `length` [B].

    released: the time of the last query that gave it much, [B, H, N]; `counts` [B] says what is much. budget: which of
    the prompt's last queries gave it less than an even share, [B, H, window, S], and in `notes` which of the last steps
    did, [B, H, N] each; `slots` lists what is kept. Tensors are replaced, never written to.
    """

    history: Tensor
    length: Tensor
    counts: Tensor
    slots: Slots
    notes: list[Tensor] = field(default_factory=list)
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, kw_only=True)
class Scissorhands(Method[History]):
    """Keeps the tokens that one of the last `window` queries gave a large weight, and the `recent` newest.

    form="released": a token is attended to as long as one of those queries had it among its `pivotal` largest weights
    (a count, or a share of the prompt), which takes a dense row of K per step; there is no budget. Weights of a step
    are those over what it attends to, its threshold is of the dense row. Queries at positions below `begin` are dense.
    form="budget", the paper's algorithm as we remember it (no code of it was released): when more than k tokens would
    be attended to, the k/2 with the most queries of the last `window` that gave them less than an even share go for
    good, the newest and the `recent` before it last; a longer cache goes to the same size. Weights are averaged over
    the group. Source: section 4 of the paper, and lzcemma/Scissorhands, which leaves layers 0 to 4 dense.
    """

    about: ClassVar[About] = About(
        title="Scissorhands",
        access="history",
        paper=Paper(
            title="Scissorhands: Exploiting the Persistence of Importance Hypothesis for LLM KV Cache Compression at "
            "Test Time",
            authors="Zichang Liu, Aditya Desai, Fangshuo Liao, Weitao Wang, Victor Xie, Zhaozhuo Xu, "
            "Anastasios Kyrillidis, Anshumali Shrivastava",
            venue="NeurIPS",
            year=2023,
            arxiv="2305.17118",
        ),
        note="form=budget is the paper's algorithm from memory, with one budget in all layers; form=released, what the "
        "authors' code does, has no budget",
    )
    measured: ClassVar[bool] = True

    form: Literal["released", "budget"] = "budget"
    k: Annotated[int, AtLeast(1), SolvedWhere("form", "budget")] | None = None
    window: Size = 100
    recent: Count = 10
    pivotal: Pivotal = 0.1
    begin: Count = 100

    def __post_init__(self) -> None:
        super().__post_init__()
        if (self.form == "budget") != (self.k is not None):
            wrong = (
                "needs k with form=budget: set it" if self.k is None else "has no k with form=released: leave it out"
            )
            raise InputError(f"Scissorhands {wrong}")

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return what the prompt's queries gave its tokens."""
        return frozenset({self._statistic})

    @property
    def _statistic(self) -> Statistic:
        return LastPivotal(self.pivotal) if self.form == "released" else BelowEven(self.window)

    def start(self, prefix: LayerPrefix) -> History:
        """Take the prompt's history; nothing is dropped before the first step."""
        history = prefix.statistics[self._statistic]
        return History(history, prefix.lengths, pivotal_counts(self.pivotal, prefix.lengths), Slots(prefix))

    def attend(self, step: Step, state: History) -> Tensor:
        """Attend to what is kept, and note what the query gives it."""
        state.length = state.length + 1
        return self._attend_unbounded(step, state) if self.form == "released" else self._attend_bounded(step, state)

    def _attend_unbounded(self, step: Step, state: History) -> Tensor:
        """Attend to the tokens that a recent query gave much, and stamp those that this one does."""
        now, past = state.length[:, None, None], pad(state.history, (0, 1))
        visible = (past >= (now - self.window).clamp_min(1)) | (age(step.mask) <= self.recent) | (now <= self.begin)
        kept = visible & step.mask
        logits = step.scores(step.q, step.k)
        weights = softmax(logits, kept[:, :, None])
        threshold = next_largest(softmax(logits, step.mask[:, :, None]).mean(2), state.counts)
        state.history = torch.where(weights.mean(2) > threshold, now.to(past.dtype), past)
        index, live = columns_of(kept)
        rows = step.mask.sum(-1) + kept.sum(-1) + 2
        state.meter.note(ELEMENT * (rows * step.k.shape[3] + 2 * step.mask.sum(-1) + 1))
        weights = weights.gather(3, index[:, :, None].expand(-1, -1, weights.shape[2], -1)) * live[:, :, None]
        return weights.to(step.v.dtype) @ gather_tokens(step.v, index)

    def _attend_bounded(self, step: Step, state: History) -> Tensor:
        """Drop what is too much, attend to the rest, and note what gets less than an even share."""
        slots, read = state.slots, step.mask.new_zeros(step.mask.shape[0], 1, dtype=torch.long)
        slots.append(step.length - 1)
        rows = slots.rows(self._size + 1)
        if rows:
            read[rows, 0] = self.window * torch.tensor([slots.counts[row] for row in rows], device=read.device)
            slots.keep(rows, self._best(step.of_rows(torch.tensor(rows, device=read.device)), state, rows))
        output, weights = attend_to(step, slots.index, slots.live)
        seen = gather_mask(step.mask, slots.index) & slots.live
        tokens = seen.sum(-1)
        below = (weights.mean(2) * tokens[..., None] < 1) & seen
        state.notes = [*state.notes, slots.by_column(below, step.length)][-self.window :]
        state.meter.note(ELEMENT * 2 * (tokens + 1) * step.k.shape[3] + tokens + read)
        return output

    def _best(self, step: Step, state: History, rows: list[int]) -> Tensor:
        """Choose the slots [R, H, K'] that some rows go on with: those that the fewest queries gave little."""
        index = state.slots.index[rows]
        notes = [note[rows] for note in state.notes]
        counts = times_noted(state.history[rows], notes, step.length).gather(2, index)
        recent = (age(step.mask) <= self.recent).expand(-1, index.shape[1], -1).gather(2, index)
        seen = gather_mask(step.mask, index) & state.slots.live[rows]
        score = (-counts.float()).masked_fill(recent, 0).masked_fill(~seen, -torch.inf)
        return top_newest(score, self._size + 1 - max(1, self._size // 2), index)

    @property
    def _size(self) -> int:
        return self.k or 0

    def meter(self, state: History) -> Meter:
        """Return what counted the tokens that were kept."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Count what a step moves at most, where tables of runs show what it did move.

        budget: 2kD + 2D elements, a bit per token, and of the bits of `window` queries four per step (those of the
        whole cache, each k/2 steps). released: 2nD + 2D and n + 1 stamps besides n that are read, as if all n tokens
        were kept: how many are depends on the data.
        """
        if self.form == "released":
            stamps = at.elements(at.n)
            write = at.newest + stamps + at.elements(1)
            return Cost(choose=at.keys(at.n) + stamps, attend=at.keys(at.n), write=write, held=at.cache + stamps)
        kept = min(self._size, at.n)
        held = at.tokens(kept) + self.window * kept
        return Cost(choose=4 * self.window, attend=at.tokens(kept), write=at.newest + kept, held=held)

    def state_elements(self, at: LayerAt) -> float:
        """Count a stamp per token, or a byte per token and query."""
        return at.n if self.form == "released" else at.n * self.window / 2

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k of form=budget. Raises InputError for form=released, whose size depends on the data."""
        if fixed.get("form") == "released":
            raise InputError("form=released keeps what the data decide: run it without a ratio, or use form=budget")
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
