"""Evicts at the end of the prompt, then chooses in each step by few channels of chunks of what is left: RocketKV."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, attend_to, gather_tokens, softmax, top_newest
from harness.attention.index.chunks import Chunks
from harness.attention.statistics import ReceivedFromLast, Statistic
from harness.attention.survivors import Survivors
from harness.attention.votes import before_window, elected, pooled, together
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import AtLeast, Count, Is, Odd, Share, Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["RocketKV"]

Both = Annotated[int, AtLeast(2)]
"""Counts what half of is tokens, and half the reading that chooses them."""
AtLeastOne = Annotated[float, Is("a number of at least 1", lambda value: 1 <= value < math.inf)]
"""Holds a ratio of compression: 1 is none."""


class Stages(NamedTuple):
    """Holds what both stages make of a prompt: tokens that the first leaves; chunk and channels of the second."""

    prompt_budget: int
    chunk: int
    r: int


class Chosen(Survivors):
    """Holds what the first stage has left, its chunks, and the channels that the second reads of them, r [B]."""

    def __init__(self, prefix: LayerPrefix, kept: Tensor, stages: list[Stages]) -> None:
        super().__init__(prefix, kept)
        size, self.r = (
            torch.tensor(of_rows, device=kept.device)
            for of_rows in ([of.chunk for of in stages], [of.r for of in stages])
        )
        self.most = max(of.r for of in stages)
        self.chunks = Chunks(gather_tokens(prefix.k, self.index), self.own[:, 0, 0], size, prefix.decode_steps)


@dataclass(frozen=True)
class RocketKV(Method[Chosen]):
    """Keeps the prompt's last `window` tokens and those they vote for, and attends in each step to the best k of them.

    The second stage scores chunks of what is cached by a bound on their keys, in the group's r largest channels.
    `token_budget` says what a step reads, half of it tokens. The published formulas make of it `prompt_budget`, which
    the first stage leaves, k and `ratio`, which the second reads less by; what is given of them stands. They count
    `new_tokens`, published as the length to be generated (here none, as budgets are at the prompt's length), in, and
    `split` says how much falls to the first stage. Source: the paper's second version.
    """

    about: ClassVar[About] = About(
        title="RocketKV",
        access="index",
        paper=Paper(
            title="RocketKV: Accelerating Long-Context LLM Inference via Two-Stage KV Cache Compression",
            authors="Payman Behnam, Yaosheng Fu, Ritchie Zhao, Po-An Tsai, Zhiding Yu, Alexey Tumanov",
            venue="ICML",
            year=2025,
            arxiv="2502.14051",
        ),
    )
    excused: ClassVar[dict[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "queries of the prompt saw them, and gave them some "
        "of their votes",
        "a_budget_of_k_alone_drops_nothing": "k counts what the second stage takes of the tokens that the first left",
    }

    token_budget: Both | None
    window: Size = 32
    kernel: Odd = 63
    new_tokens: Count = 0
    split: Share | None = None
    prompt_budget: Size | None = None
    k: Size | None = None
    ratio: AtLeastOne | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.token_budget is None and None in (self.prompt_budget, self.k, self.ratio):
            raise InputError("RocketKV needs token_budget, or else all of prompt_budget, k and ratio")
        if self.window >= self._least:
            raise InputError(f"RocketKV needs window below what its first stage leaves, {self._least}")

    @property
    def _least(self) -> int:
        """Count the tokens that the first stage leaves of any prompt that has as many."""
        if self.prompt_budget is not None:
            return self.prompt_budget
        return max((self.token_budget or 0) - self.new_tokens, self.new_tokens)

    @property
    def _tokens(self) -> int:
        return self.k or (self.token_budget or 0) // 2

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the attention that the window gives."""
        return frozenset({ReceivedFromLast(self.window)})

    def stages(self, tokens: int, width: int) -> Stages:
        """Divide the budget between the stages, for a prompt of so many tokens and heads of this width."""
        budget = self.token_budget or math.inf
        total = tokens + self.new_tokens
        away = max(1.0, total / budget)
        split = self.split or min(0.2 + 0.06 * math.log2(away), 0.8)
        capacity = max(int(total / away**split), min(2 * self.new_tokens, total))
        left = self.prompt_budget or capacity - self.new_tokens
        ratio = self.ratio or max(1.0, (left + self.new_tokens) / budget)
        chunk = math.ceil(math.sqrt(ratio))
        chunk = chunk if chunk <= ratio else 1
        return Stages(left, chunk, max(1, int(width * chunk / ratio)))

    def start(self, prefix: LayerPrefix) -> Chosen:
        """Evict, and bound the chunks of what is left."""
        tokens, width = prefix.visible.sum((1, 2)).tolist(), prefix.k.shape[3]
        stages = [self.stages(of_row, width) for of_row in tokens]
        votes = together(prefix.statistics[ReceivedFromLast(self.window)], "mean")
        votes = pooled(votes, before_window(prefix, self.window), self.kernel, "max")
        counts = torch.tensor([max(0, of.prompt_budget - self.window) for of in stages], device=votes.device)
        return Chosen(prefix, elected(prefix, votes, counts[:, None, None], self.window), stages)

    def attend(self, step: Step, state: Chosen) -> Tensor:
        """Score the chunks, attend exactly to the best tokens: the newest has to win like any other."""
        state.chunks.append(step.k[:, :, -1])
        index, own = state.columns(step)
        weights = softmax(state.chunks.spread(estimates(step, state)), own).mean(2)
        live = own[:, :, 0]
        best = top_newest(weights.masked_fill(~live, -torch.inf), self._tokens)
        return attend_to(step, index.gather(2, best), live.gather(2, best))[0]

    def cost(self, at: LayerAt) -> Cost:
        """Count r of each chunk and 2kD as read; 2D as written, and 2D of the newest chunk's bounds read and written.

        What is left of the prompt, newer tokens and all bounds are held.
        """
        stages = self.stages(at.prompt, at.head_dim)
        cached, chunks = self._cached(at, stages)
        bound = at.tokens(1)
        return Cost(
            choose=at.elements(chunks * stages.r) + bound,
            attend=at.tokens(min(self._tokens, cached)),
            write=at.newest + bound,
            held=at.tokens(cached) + chunks * bound,
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the bounds, beside a cache that here is whole."""
        return self._cached(at, self.stages(at.prompt, at.head_dim))[1] * at.tokens(1) / ELEMENT

    @staticmethod
    def _cached(at: LayerAt, stages: Stages) -> tuple[int, int]:
        """Count the tokens that are cached, and their chunks."""
        tokens = min(stages.prompt_budget, at.prompt) + at.n - at.prompt
        return tokens, -(-tokens // stages.chunk)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve `token_budget`, which must leave room for the window."""
        given, high = without_null({**fixed, "token_budget": None}), 2 * budget.tokens
        made = cls(**{**given, "token_budget": high})
        free = made.prompt_budget is not None or made.new_tokens > made.window
        low = 2 if free else made.window + made.new_tokens + 1
        return largest_knob(cls, "token_budget", (low, high), budget, **given)


def estimates(step: Step, state: Chosen) -> Tensor:
    """Bound the logits of each chunk [B, H, G, C] in the r channels where the group's queries are largest on average.

    The sign of the group's summed query says which side bounds a channel. A temperature makes up for other channels.
    """
    magnitude = step.q.abs().to(torch.promote_types(step.q.dtype, torch.float32))
    channels = magnitude.mean(2).topk(state.most).indices  # largest first: rows that read fewer leave out the last
    below = (step.q.sum(2) <= 0).gather(2, channels)
    q = step.q.gather(3, channels[:, :, None].expand(-1, -1, step.q.shape[2], -1))
    q = torch.where(below[:, :, None], -q, q)
    q = q * (torch.arange(state.most, device=q.device) < state.r[:, None])[:, None, None]
    covered = q.abs().to(magnitude.dtype).sum(3, keepdim=True) / magnitude.sum(3, keepdim=True)
    q = (q / covered.sqrt()).nan_to_num(0).to(q.dtype)
    return step.scores(q, state.chunks.take(channels + below * step.q.shape[3]))
