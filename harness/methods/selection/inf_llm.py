"""Computes InfLLM: what left the window is filed in blocks, known by few keys, and seen from one far distance."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar, Self

from torch import Tensor

from harness.attention import LayerPrefix, Step, columns_of, gather_tokens, softmax
from harness.attention.index.filed import Filed, Filing
from harness.attention.statistics import ReceivedWithin, Statistic
from harness.methods.about import About, Paper
from harness.methods.contract import Method, Need
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Count, Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["InfLLM"]

SINKS, WINDOW, BLOCK = 128, 4096, 128
"""Counts the first and the last tokens that are always kept, and those of a block, as released."""


@dataclass(frozen=True)
class InfLLM(Method[Filed]):
    """Attends to sinks, the `top` best blocks of older tokens, those in no block yet, and the last `window` tokens.

    A block is known by the mean, for each query head, of the un-rotated keys of its `representatives` tokens that
    received most attention from queries within the window. All heads of a layer choose together, by the sum of q.k of
    their queries at position window - 1. Every token beyond the window is seen at that distance. Left null, sinks and
    block are 128 and window 4096, as released.
    """

    about: ClassVar[About] = About(
        title="InfLLM",
        access="index",
        note="in decode steps only, with scores of a dense prefill: the published method changes the prefill; solved "
        "for a ratio, sizes are smaller than released for short prompts",
        paper=Paper(
            title="InfLLM: Training-Free Long-Context Extrapolation for LLMs with an Efficient Context Memory",
            authors="Chaojun Xiao, Pengle Zhang, Xu Han, Guangxuan Xiao, Yankai Lin, Zhengyan Zhang, Zhiyuan Liu,"
            " Maosong Sun",
            venue="NeurIPS",
            year=2024,
            arxiv="2402.04617",
        ),
    )
    excused: ClassVar[Mapping[str, str]] = {
        "tokens_that_a_sliding_window_dropped_have_no_influence": "they had a part of the weights by"
        " which keys were chosen to stand for blocks",
    }

    top: Size
    sinks: Count | None = None
    window: Size | None = None
    block: Size | None = None
    representatives: Size = 4

    @property
    def resolved(self) -> Self:
        """Return the method with the released sizes as numbers."""
        return replace(self, sinks=self._sinks, window=self._window, block=self._block)

    @property
    def needs(self) -> frozenset[Need]:
        """Return "rope": blocks are known by keys without positions."""
        return frozenset({"rope"})

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return what each prompt token received from queries within the window."""
        return frozenset({ReceivedWithin(self._window)})

    def start(self, prefix: LayerPrefix) -> Filed:
        """File all blocks of the prompt that have left the window."""
        sizes = Filing(self._sinks, self._window, self._block, self.representatives)
        return Filed(prefix, prefix.statistics[ReceivedWithin(self._window)], sizes)

    def attend(self, step: Step, state: Filed) -> Tensor:
        """Choose blocks for all heads and attend: keys beyond the window move up to its edge, others stay."""
        state.keys.append(step)
        index, live = columns_of(state.kept(step, self.top)[:, None])
        distance = step.length - 1 - index
        keys = state.keys.rope.turn(gather_tokens(step.k, index), (distance - self._window + 1).clamp_min(0))
        weights = softmax(step.scores(step.q, keys), live[:, :, None])
        state.receive(index, weights * (distance < self._window)[:, :, None])
        state.file(step)
        return weights.to(step.v.dtype) @ gather_tokens(step.v, index)

    def cost(self, at: LayerAt) -> Cost:
        """Count D for each query head and block, unless all blocks are taken, and 2D for each kept token.

        Weights within the window are added to scores, of which one a query head and token is read and written (ours:
        the authors' code does so, uncounted); filing a block reads its keys and scores, D and G elements a token.
        """
        left = max(0, at.n - 1 - self._window)
        sinks = min(left, self._sinks)
        filed = (left - sinks) // self._block
        kept = at.n - max(0, filed - self.top) * self._block
        scores = at.elements(at.group * min(at.n, self._window))
        choose = at.keys(filed * at.group) if filed > self.top else 0
        filing = at.keys(1) + at.elements(at.group) if left else 0
        return Cost(
            choose=choose + scores + filing,
            attend=at.tokens(kept),
            write=at.newest + scores,
            held=at.cache + at.keys(filed * at.group) + at.elements(at.group * (at.n - sinks - filed * self._block)),
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the second copy of K, without rotation; what blocks are known by; scores in float32 of all tokens."""
        return at.n * at.head_dim * (1 + at.group / self._block) + 2 * at.group * at.n

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve top.

        Sizes that are null are the released ones, but (ours, for short prompts) of the tokens that the budget lets be
        read, the window is at most a third, a block an eighth and sinks a sixteenth.
        """
        given = without_null(fixed)
        most = int(budget.tokens / budget.ratio)
        block = min(BLOCK, max(1, most // 8))
        sized = partial(cls, sinks=min(SINKS, most // 16), window=min(WINDOW, max(1, most // 3)), block=block)
        return largest_knob(sized, "top", (1, max(1, budget.tokens // given.get("block", block))), budget, **given)

    @property
    def _sinks(self) -> int:
        return SINKS if self.sinks is None else self.sinks

    @property
    def _window(self) -> int:
        return WINDOW if self.window is None else self.window

    @property
    def _block(self) -> int:
        return BLOCK if self.block is None else self.block
