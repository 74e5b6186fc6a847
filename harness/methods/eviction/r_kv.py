"""Cuts the cache back now and then while decoding, to tokens that matter and do not repeat others: R-KV."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d

from harness.attention import (
    LayerPrefix,
    Meter,
    Slots,
    Step,
    attend_to,
    gather_mask,
    gather_tokens,
    softmax,
    top_newest,
)
from harness.attention.redundancy import redundancy
from harness.attention.scores import Scores
from harness.attention.statistics import LastQueries, Statistic
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import AtLeast, Fraction, Is, Odd, Size, Within, floor
from harness.methods.ratio import Budget, largest_knob

__all__ = ["RKV"]


@dataclass
class Cached:
    """Holds what is cached, in order, and the last queries [B, H, G, window, D], oldest first.

    prompt: the prompt's keys, until the first step has compressed them. lengths: live tokens of each row so far.
    """

    slots: Slots
    queries: Tensor
    prompt: Tensor | None
    lengths: list[int]
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class RKV(Method[Cached]):
    """Cuts the cache to k tokens whenever it has k + `buffer`: to those that matter and do not repeat others.

    A token's importance is its weight, in the softmax of a group's largest logits, averaged over the last `window`
    queries, of which each token takes the largest of `kernel` neighbours. Its redundancy is the softmax of its key's
    mean cosine with the others, each of which spares one token: the newest more similar than `threshold`, or the oldest
    if there is none (retain="last"), or always the oldest ("first"). The score is `mix` of the one less 1 - mix of the
    other; the newest `window` are kept. order="time" keeps the survivors in time's order for the next cut; "score", the
    released code, the best first, so that neighbours are those in rank. trigger="count", the released code, cuts
    whenever the number of tokens before a step is a multiple of `buffer`. A prompt of k tokens or more is cut before
    the first step, unless not `compress_prompt`. Published: k of 128 to 3072. Source: section 3 of the paper,
    Zefan-Cai/R-KV.
    """

    about: ClassVar[About] = About(
        title="R-KV",
        access="history",
        paper=Paper(
            title="R-KV: Redundancy-aware KV Cache Compression for Reasoning Models",
            authors="Zefan Cai, Wen Xiao, Hanshi Sun, Cheng Luo, Yikai Zhang, Ke Wan, Yucheng Li, Yeyang Zhou, "
            "Li-Wen Chang, Jiuxiang Gu, Zhen Dong, Anima Anandkumar, Abedelkadir Asi, Junjie Hu",
            year=2025,
            arxiv="2505.24133",
        ),
        note="the paper's trigger and the order of time by default, where the released class counts tokens and stores "
        "the best first; made for generations of thousands of tokens",
    )
    measured: ClassVar[bool] = True  # a step moves more or less by its place in the cycle

    k: Size
    buffer: Size = 128
    window: Annotated[int, AtLeast(1), Within("k", left=1)] = 8
    mix: Fraction = 0.1
    kernel: Odd = 7
    threshold: Annotated[float, Is("a cosine, from -1 to 1", lambda value: -1 <= value <= 1)] = 0.5
    retain: Literal["last", "first"] = "last"
    order: Literal["time", "score"] = "time"
    trigger: Literal["buffer", "count"] = "buffer"
    compress_prompt: bool = True

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the prompt's last queries, which choose until as many tokens are decoded."""
        return frozenset({LastQueries(self.window)})

    def start(self, prefix: LayerPrefix) -> Cached:
        """List the prompt's tokens. Its keys are remembered, for what the first step will see of them."""
        queries = prefix.statistics[LastQueries(self.window)]
        prompt = prefix.k if self.compress_prompt else None
        return Cached(Slots(prefix), queries, prompt, prefix.lengths.tolist())

    def attend(self, step: Step, state: Cached) -> Tensor:
        """Attend to all that is cached, then cut the rows whose turn it is."""
        slots = state.slots
        if state.prompt is not None:
            self._compress(state.prompt, step.mask[..., :-1], step.scores, state, slots.rows(self.k))
            state.prompt = None
        slots.append(step.length - 1)
        output, _ = attend_to(step, slots.index, slots.live)
        state.queries = torch.cat([state.queries[:, :, :, 1:], step.q[:, :, :, None].to(state.queries.dtype)], 3)
        rows = slots.rows(self.k + self.buffer)
        if self.trigger == "count":
            rows = [row for row in slots.rows(self.k) if state.lengths[row] % self.buffer == 0]
        state.meter.note(self._moved(step, slots, rows))
        self._compress(step.k, step.mask, step.scores, state, rows)
        state.lengths = [length + 1 for length in state.lengths]
        return output

    def _compress(self, k: Tensor, mask: Tensor, scores: Scores, state: Cached, rows: list[int]) -> None:
        """Cut some rows to k slots; the others are left as they are."""
        if not rows:
            return
        slots = state.slots
        keys, seen = gather_tokens(k, slots.index)[rows], (gather_mask(mask, slots.index) & slots.live)[rows]
        old = keys.shape[2] - self.window
        important = self._importance(state.queries[rows], keys[:, :, :old], seen[..., :old], scores)
        repeated = softmax(redundancy(keys, seen, self.threshold, self.retain == "first"), seen)[..., :old]
        score = (self.mix * important - (1 - self.mix) * repeated).masked_fill(~seen[..., :old], -torch.inf)
        best = top_newest(score, self.k - self.window, best_first=True)
        if self.order == "time":
            best = best.sort(-1).values
        last = torch.arange(old, keys.shape[2], device=best.device).expand(*best.shape[:2], -1)
        slots.keep(rows, torch.cat([best, last], -1))

    def _importance(self, queries: Tensor, keys: Tensor, seen: Tensor, scores: Scores) -> Tensor:
        """Average what the last queries [R, H, G, W, D] give to slots, and pool it with its neighbours: [R, H, K]."""
        keys = keys.detach().to(queries.dtype)
        logits = scores(queries.flatten(2, 3), keys).unflatten(2, queries.shape[2:4])  # type: ignore[no-untyped-call]
        mean = softmax(logits.amax(2), seen[:, :, None]).mean(2).masked_fill(~seen, -torch.inf)
        return max_pool1d(mean, self.kernel, 1, self.kernel // 2)

    def _moved(self, step: Step, slots: Slots, cut: list[int]) -> Tensor:
        """Count the bits of a step, [B, H], as `cost` does."""
        group, d = step.q.shape[2:]
        tokens = (gather_mask(step.mask, slots.index) & slots.live).sum(-1)
        rows = torch.zeros_like(tokens)
        rows[cut] = tokens[cut] + self.window * group + 4 * self.k
        return (2 * tokens + group + rows) * d * ELEMENT

    def meter(self, state: Cached) -> Meter:
        """Return what counted the tokens that were cached, and the cuts."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Average over a cycle of `buffer` steps: 2D(k + (buffer - 1) / 2) + 2D elements, and a share of a cut.

        A cut reads k + buffer keys and `window` queries per query head, which are held, and moves 2kD of what is kept.
        At buffer = 1 it dominates. A plan counts cuts where nothing is cut yet, too; a prompt's cut is not counted.
        """
        kept, queries = min(self.k, at.n), at.keys(self.window * at.group)
        scored = at.keys(min(at.n, self.k + self.buffer)) + queries
        return Cost(
            choose=(scored + at.tokens(kept)) / self.buffer,
            attend=at.tokens(min(at.n, self.k + (self.buffer - 1) / 2)),
            write=at.newest + at.keys(at.group) + at.tokens(kept) / self.buffer,
            held=at.tokens(min(at.n, self.k + self.buffer)) + queries,
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the last queries, and where each token is."""
        return self.window * at.group * at.head_dim + 2 * at.n

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, which must leave room for the window."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
