"""Keeps the newest tokens and those with the highest sum of Gumbel-softmaxes: Keyformer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import LayerPrefix, Slots, Step, gather_mask, gather_tokens, gumbel, softmax, top_newest
from harness.attention.statistics import GumbelReceived, Statistic
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Count, Is, Positive, Size, Within, floor
from harness.methods.ratio import Budget, largest_knob

__all__ = ["Keyformer"]

Newest = Annotated[
    int | float,
    Is(
        "a number of at least 1, or a share of k below 1",
        lambda value: value >= 1 if isinstance(value, int) else 0 < value < 1,
    ),
    Within("k"),
]
"""Counts the newest tokens that are always kept, of k."""


@dataclass
class Cached:
    """Holds what is cached, the scores of all tokens [B, H, S + T], and which rows have chosen their key tokens.

    layer: its number. first, length [B]: the column of each row's first live token, and how many live ones it has.
    passed: how many steps there were.
    """

    slots: Slots
    score: Tensor
    chosen: list[bool]
    layer: int
    first: Tensor
    length: Tensor
    passed: int = 0


@dataclass(frozen=True)
class Keyformer(Method[Cached]):
    """Keeps the `local` newest tokens (default 30% of k) and k - local key tokens, which the prompt chooses.

    A token's score is what it received of softmax((logit + noise) / tau) from all queries of the prompt, tau being
    `tau_init`. Attention itself has neither noise nor temperature. As released, key tokens never change: a decoded
    token is attended to while it is among the newest. `rechoose`, as the paper describes it, adds to the scores what
    each step's query gives, where tau rises to `tau_end` in `max_new_tokens` steps, and chooses anew after each. The
    prompt's `local`-th newest token cannot be a key token, although it has left the window at the first step (as
    released). A prompt of at most k tokens is attended to whole, and its steps add to the scores, until more than k are
    cached (ours). Source: section 3 of the paper, d-matrix-ai/keyformer-llm.
    """

    about: ClassVar[About] = About(
        title="Keyformer",
        access="history",
        paper=Paper(
            title="Keyformer: KV Cache Reduction through Key Tokens Selection for Efficient Generative Inference",
            authors="Muhammad Adnan, Akhil Arunkumar, Gaurav Jain, Prashant J. Nair, Ilya Soloveychik, "
            "Purushotham Kamath",
            venue="MLSys",
            year=2024,
            arxiv="2403.09054",
        ),
        note="rechoose=false, the default, is the released code, in which no decoded token becomes a key token; "
        "rechoose=true is what the paper describes",
    )

    k: Size
    local: Newest = 0.3
    tau_init: Positive = 1.0
    tau_end: Positive = 2.0
    max_new_tokens: Size = 256
    noise: bool = True
    rechoose: bool = False
    seed: Count = 0

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the prompt's scores."""
        return frozenset({self._statistic})

    @property
    def _statistic(self) -> Statistic:
        return GumbelReceived(float(self.tau_init), self.seed if self.noise else None)

    @property
    def _local(self) -> int:
        return self.local if isinstance(self.local, int) else max(1, int(self.local * self.k))

    def start(self, prefix: LayerPrefix) -> Cached:
        """Take the prompt's scores; the first step chooses."""
        score = pad(prefix.statistics[self._statistic], (0, prefix.decode_steps))
        chosen = [False] * len(score)
        return Cached(Slots(prefix), score, chosen, prefix.layer, prefix.first, prefix.lengths)

    def attend(self, step: Step, state: Cached) -> Tensor:
        """Evict what the last step has left too many, attend to the rest, and score it where that is still of use."""
        self._evict(step, state)
        slots = state.slots
        slots.append(step.length - 1)
        mask = (gather_mask(step.mask, slots.index) & slots.live)[:, :, None]
        logits = step.scores(step.q, gather_tokens(step.k, slots.index))
        state.passed, state.length = state.passed + 1, state.length + 1
        if self.rechoose or not all(state.chosen):
            given = self._given(logits, mask, state)
            if not self.rechoose:
                given = given * ~torch.tensor(state.chosen, device=given.device)[:, None, None]
            state.score = state.score.scatter_add(2, slots.index, given.to(state.score.dtype))
        return softmax(logits, mask).to(step.v.dtype) @ gather_tokens(step.v, slots.index)

    def _evict(self, step: Step, state: Cached) -> None:
        """Make room for the newest token: rows choose their key tokens, or the window's oldest token leaves."""
        slots, local = state.slots, self._local
        new = [row for row in slots.rows(self.k + 1) if not state.chosen[row]]
        old = [row for row, chosen in enumerate(state.chosen) if chosen]
        width, device = slots.index.shape[2], step.k.device
        last = torch.arange(width - local + 1, width, device=device)
        kept = [self._best(step, state, new, local)] if new else []
        if old and self.rechoose:
            kept.append(self._best(step, state, old, local - 1))
        elif old:
            keys = torch.arange(width - self.k, width - local, device=device)
            kept.append(keys.expand(len(old), slots.index.shape[1], -1))
        if kept:
            best = torch.cat(kept)
            slots.keep(new + old, torch.cat([best, last.expand(*best.shape[:2], -1)], -1))
        state.chosen = [chosen or row in new for row, chosen in enumerate(state.chosen)]

    def _best(self, step: Step, state: Cached, rows: list[int], newest: int) -> Tensor:
        """Find the slots [R, H, k - local] of the highest scores among all but the last `newest`."""
        index = state.slots.index[rows]
        seen = gather_mask(step.mask[rows], index) & state.slots.live[rows]
        score = state.score[rows].gather(2, index).masked_fill(~seen, -torch.inf)
        candidates = index.shape[2] - newest
        return top_newest(score[..., :candidates], self.k - self._local, index[..., :candidates])

    def _given(self, logits: Tensor, mask: Tensor, state: Cached) -> Tensor:
        """Compute what the step's query gives to the slots, [B, H, K]: the mean over a group of a noisy softmax."""
        tau = self.tau_init + state.passed * (self.tau_end - self.tau_init) / self.max_new_tokens
        if self.noise:
            heads = torch.arange(logits.shape[1], device=logits.device)[:, None]
            key = (state.slots.index - state.first[:, None, None]).clamp_min(0)
            noise = gumbel(self.seed, state.layer, heads, (state.length - 1)[:, None, None], key)
            logits = logits + noise[:, :, None].to(state.score.dtype)
        return softmax(logits / tau, mask).mean(2)

    def cost(self, at: LayerAt) -> Cost:
        """Count 2kD + 2D elements; with `rechoose` 2k for the scores of what is cached, which are held too."""
        kept = min(self.k, at.n)
        scores = at.elements(kept) if self.rechoose else 0
        held = at.tokens(kept) + scores
        return Cost(choose=scores, attend=at.tokens(kept), write=at.newest + scores, held=held)

    def state_elements(self, at: LayerAt) -> float:
        """Count two scores of all tokens in float32, beside the one that every method may hold."""
        return 4 * at.n

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k, of which `local` stays a share unless it is a number."""
        return largest_knob(cls, "k", (floor(cls, "k", **fixed), budget.tokens), budget, **fixed)
