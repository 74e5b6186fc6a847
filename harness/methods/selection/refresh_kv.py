"""Attends to a small set of tokens that a full step chooses anew now and then: RefreshKV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity, max_pool1d, pad

from harness.attention import LayerPrefix, Meter, Step, attend_to, gather_mask, softmax, top_newest
from harness.attention.statistics import LastQueries, ReceivedFromLast, Statistic
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Is, Odd, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["RefreshKV"]


@dataclass
class SmallSet:
    """Holds the chosen columns [B, H, K], which of them exist, and what has come since.

    query [B, H, G, D] is that of each row's last full step, after which its tokens have columns from `since` [B] on;
    `oldest` is the least of those. `passed` counts decode steps.
    """

    index: Tensor
    live: Tensor
    query: Tensor
    since: Tensor
    oldest: int
    passed: int = 0
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class RefreshKV(Method[SmallSet]):
    """Attends to k tokens and those that came since, and in every `stride`-th step to all, whose weights choose anew.

    With `qc_stride`, every so many steps a layer also goes full in a row whose query has turned away from that of its
    last full step: a mean cosine over all query heads below `threshold`. Weights are averaged over the group, and each
    token takes the largest of `pool` neighbours. No code was released and the paper's text was out of reach: that the
    set grows between full steps, and the defaults of stride, threshold and pool, are readings of its abstract.
    """

    about: ClassVar[About] = About(
        title="RefreshKV",
        access="history",
        note="from the paper's abstract: no code was released",
        paper=Paper(
            title="RefreshKV: Updating Small KV Cache During Long-form Generation",
            authors="Fangyuan Xu, Tanya Goyal, Eunsol Choi",
            venue="ACL",
            year=2025,
            arxiv="2411.05787",
        ),
    )
    excused: ClassVar[dict[str, str]] = dict.fromkeys(
        ("entries_with_a_gradient_are_paid_for", "entries_read_to_choose_or_to_attend_are_paid_for"),
        "what is moved is a mean over `stride` steps, one of which reads everything",
    )

    k: Size
    stride: Count = 10
    qc_stride: Count = 0
    threshold: Annotated[float, Is("a cosine, from -1 to 1", lambda value: -1 <= value <= 1)] = 0.85
    pool: Odd = 7

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the last prompt query and its weights: the prefill is a full step."""
        return frozenset({LastQueries(1), ReceivedFromLast(1)})

    def start(self, prefix: LayerPrefix) -> SmallSet:
        """Choose by the last prompt query."""
        b, _, s, _ = prefix.k.shape
        weights = prefix.statistics[ReceivedFromLast(1)]
        seen = prefix.mask & (weights.sum((1, 2)).cumsum(-1) > 0)[:, None]  # a window hides what is older
        index, live = self._choose(weights, seen, min(self.k, s + prefix.decode_steps))
        query = prefix.statistics[LastQueries(1)][:, :, :, 0].clone()
        return SmallSet(index, live, query, torch.full((b,), s, device=index.device), s)

    def attend(self, step: Step, state: SmallSet) -> Tensor:
        """Attend to the small set, or to everything in the rows whose turn it is."""
        b, h, _, _ = step.q.shape
        state.passed += 1
        full = torch.full((b,), self.stride > 0 and state.passed % self.stride == 0, device=step.q.device)
        compared = self.qc_stride > 0 and state.passed % self.qc_stride == 0
        if compared:
            full = full | self._turned(step.q, state.query)
        rows = full.nonzero()[:, 0]
        output, read = torch.empty_like(step.q), torch.zeros(b, h, dtype=torch.long, device=step.q.device)
        if len(rows) < b:
            output, read = self._attend_to_set(step, state)
        if len(rows):
            output[rows] = self._attend_to_all(step if len(rows) == b else step.of_rows(rows), state, rows)
        if self.measured:
            tokens = torch.where(full, step.mask.sum((1, 2)), read.T).T  # [B, H]
            state.meter.note((2 * tokens + 2 + compared * step.q.shape[2]) * step.q.shape[3] * ELEMENT)
        return output

    def _attend_to_set(self, step: Step, state: SmallSet) -> tuple[Tensor, Tensor]:
        """Attend to the chosen tokens and those since; returns how many those are too, [B, H]."""
        b, h, n, _ = step.k.shape
        newest = torch.arange(state.oldest, n, device=step.k.device)
        joined = (newest >= state.since[:, None])[:, None].expand(b, h, -1)
        index = torch.cat([state.index, newest.expand(b, h, -1)], -1)
        live = torch.cat([state.live, joined], -1)
        return attend_to(step, index, live)[0], (gather_mask(step.mask, index) & live).sum(-1)

    def _attend_to_all(self, step: Step, state: SmallSet, rows: Tensor) -> Tensor:
        """Attend to everything and choose the rows' sets anew."""
        weights = softmax(step.scores(step.q, step.k), step.mask[:, :, None])
        state.index[rows], state.live[rows] = self._choose(weights, step.mask, state.index.shape[2])
        state.query[rows], state.since[rows] = step.q.to(state.query.dtype), step.length
        if len(rows) == len(state.since):
            state.oldest = step.length
        return weights.to(step.v.dtype) @ step.v

    def _choose(self, weights: Tensor, mask: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Choose the k tokens of the largest weights [B, H, G, N]: columns [B, H, size], and which of them exist."""
        mean = weights.mean(2).masked_fill(~mask, -torch.inf)
        pooled = max_pool1d(mean, self.pool, 1, self.pool // 2).masked_fill(~mask, -torch.inf)
        index = top_newest(pooled, min(self.k, size))
        missing = size - index.shape[2]
        return pad(index, (0, missing)), pad(gather_mask(mask, index), (0, missing))

    def _turned(self, query: Tensor, before: Tensor) -> Tensor:
        """Return in which rows the queries [B, H, G, D] have turned away from those before, [B] bool."""
        return cosine_similarity(query.to(before.dtype), before, -1).mean((1, 2)) < self.threshold

    @property
    def measured(self) -> bool:
        """Return True if queries decide which steps are full."""
        return self.qc_stride > 0

    def meter(self, state: SmallSet) -> Meter | None:
        """Return what was read and written, if it depends on the data."""
        return state.meter if self.measured else None

    def cost(self, at: LayerAt) -> Cost:
        """Average over a stride s: 2Dn in one step, 2D(k + j) in the j-th of the s - 1 others, and 2D written in each.

        Full steps that queries ask for are not foreseen; a comparison costs D per query head. The peak is a full step,
        which moves what dense attention does. The columns of the set are not counted.
        """
        since = self.stride / 2 if self.stride else max(1, at.n - at.prompt)
        share = 1 / self.stride if self.stride else 0
        tokens = share * at.n + (1 - share) * min(at.n, self.k + since)
        compared = at.keys(at.group / self.qc_stride) if self.qc_stride else 0
        return Cost(choose=compared, attend=at.tokens(tokens), write=at.newest, held=at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k for a given stride, which is the largest ratio that can be reached."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
