"""Computes TokenSelect: every query head votes with its softmax, and all heads of the layer attend to the winners."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d

from harness.attention import LayerPrefix, Meter, Rope, Step, attend_to, columns_of, ends, softmax, top_newest
from harness.attention.unrotated import Unrotated, attend_in_a_row, paired_modulo, rope_of
from harness.methods.about import About, Paper
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Is, Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["TokenSelect"]

Kernel = Annotated[int, Is("0 or an odd number", lambda value: value == 0 or (value > 0 and value % 2 == 1), (int,))]
INIT, LOCAL = 128, 512
"""Counts the first and the last tokens that are always kept, as released."""
Cosine = Annotated[float, Is("a number from -1 to 1", lambda value: -1 <= value <= 1)]


@dataclass
class Selection:
    """Holds the last selection of each row: [B, top_k] columns, and the queries [B, Hq D] that made it."""

    chosen: Tensor
    queries: Tensor

    def similar(self, queries: Tensor) -> Tensor:
        """Return the cosine of each row's queries with those of its last selection, [B]."""
        own, last = (torch.linalg.vector_norm(x, dim=1) for x in (queries, self.queries))
        cosine: Tensor = (queries * self.queries).sum(1) / (own * last)
        return cosine


@dataclass
class Selected:
    """Holds what a layer carries along: un-rotated keys, the layer's rope and selections, where they are needed."""

    keys: Unrotated | None
    rope: Rope | None
    last: Selection | None = None
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class TokenSelect(Method[Selected]):
    """Attends to the first n_init tokens, the top_k with most votes and the last n_local, the newest included.

    A head votes by softmax over what lies between, of q.k without D^-0.5 (here: of logits times sqrt(D), so that an
    architecture's scale and cap count). `scores`: "fixed_distance" sees every token at a distance of n_local, "rotated"
    where it is. `positions`: "reindexed" puts the kept tokens side by side before the query. `kernel_size`: neighbours
    over which votes are max-pooled, 0 for none. `pairing`: "modulo" pairs query and KV heads as the released kernel
    does, by mistake. `similarity_threshold`: a step whose queries are as similar (cosine over all heads) to those of
    the last selection reuses it. Left null, n_init is 128 and n_local 512, as released.
    """

    about: ClassVar[About] = About(
        title="TokenSelect",
        access="keys",
        note="in decode steps only: the published method selects in the prefill too; solved for a ratio, sizes are "
        "smaller than released for short prompts",
        paper=Paper(
            title="TokenSelect: Efficient Long-Context Inference and Length Extrapolation for LLMs via Dynamic"
            " Token-Level KV Cache Selection",
            authors="Wei Wu, Zhuoshi Pan, Kun Fu, Chao Wang, Liyi Chen, Yunchu Bai, Tianfu Wang, Zheng Wang, Hui Xiong",
            venue="EMNLP",
            year=2025,
            arxiv="2411.02886",
        ),
    )

    top_k: Size
    n_init: Count | None = None
    n_local: Size | None = None
    kernel_size: Kernel = 0
    similarity_threshold: Cosine | None = None
    positions: Literal["reindexed", "original"] = "reindexed"
    scores: Literal["fixed_distance", "rotated"] = "fixed_distance"
    pairing: Literal["group", "modulo"] = "group"

    @property
    def resolved(self) -> Self:
        """Return the method with the tokens that are always kept as numbers."""
        return replace(self, n_init=self._init, n_local=self._local)

    @property
    def needs(self) -> frozenset[Need]:
        """Return "rope" unless tokens are scored and seen where they are."""
        plain = self.positions == "original" and self.scores == "rotated"
        return frozenset() if plain else frozenset({"rope"})

    @property
    def measured(self) -> bool:
        """Return True if selections are reused."""
        return self.similarity_threshold is not None

    def meter(self, state: Selected) -> Meter | None:
        """Return the meter of steps that reuse a selection."""
        return state.meter if self.measured else None

    def start(self, prefix: LayerPrefix) -> Selected:
        """Un-rotate the prompt's keys, if they are scored so."""
        rope = rope_of(prefix) if self.positions == "reindexed" else None
        return Selected(Unrotated(prefix) if self.scores == "fixed_distance" else None, rope)

    def attend(self, step: Step, state: Selected) -> Tensor:
        """Choose for all heads at once and attend; where all tokens are kept, that is dense attention."""
        if state.keys is not None:
            state.keys.append(step)
        mask = step.mask[:, 0]
        always = ends(mask, self._init, self._local)
        chosen = self._chosen(step, state, mask & ~always)
        kept = always.scatter(1, chosen, True) & mask
        index, live = columns_of(kept[:, None])
        if state.rope is not None:
            return attend_in_a_row(step, state.rope, index, live)
        return attend_to(step, index, live)[0]

    def _chosen(self, step: Step, state: Selected, middle: Tensor) -> Tensor:
        """Return columns [B, K] of which those in the middle, [B, N] bool, are chosen: all where there are as few."""
        keys = state.keys
        q, k = (step.q, step.k) if keys is None else (keys.query(step, self._local), keys.rows)
        if self.similarity_threshold is None:
            return self._winners(step, q, k, middle)
        return self._reused(step, state, q, middle, lambda: self._winners(step, q, k, middle))

    def _reused(self, step: Step, state: Selected, q: Tensor, middle: Tensor, winners: Callable[[], Tensor]) -> Tensor:
        """Return the last selection where queries are similar, else a fresh one, which is kept."""
        queries, acts = q.flatten(1), middle.sum(-1) > self.top_k
        last = state.last if state.last and step.length > self.top_k else None
        if last is None:
            last = Selection(winners(), torch.zeros_like(queries))
        hit = acts & (last.similar(queries) >= (self.similarity_threshold or 0))  # nothing is similar to zeros
        chosen = last.chosen if hit.all() else torch.where(hit[:, None], last.chosen, winners())
        state.last = Selection(chosen, torch.where((acts & ~hit)[:, None], queries, last.queries))
        self._note(state, step, middle.sum(-1) * (acts & ~hit))
        return chosen

    def _winners(self, step: Step, q: Tensor, k: Tensor, middle: Tensor) -> Tensor:
        """Return the columns of the top_k tokens by votes; fewer where there are no more columns."""
        if self.pairing == "modulo":
            q = paired_modulo(q)
        logits = step.scores(q, k) * math.sqrt(q.shape[3])
        votes = softmax(logits, middle[:, None, None]).sum((1, 2)).masked_fill(~middle, -torch.inf)
        if self.kernel_size:
            votes = max_pool1d(votes[:, None], self.kernel_size, 1, self.kernel_size // 2)[:, 0]
        return top_newest(votes.masked_fill(~middle, -torch.inf), self.top_k)

    def _note(self, state: Selected, step: Step, read: Tensor) -> None:
        """Note what each row's KV heads moved: `read` [B] keys, queries to compare, kept tokens, the newest."""
        heads, group, d = step.q.shape[1:]
        kept = step.mask.sum((1, 2)).clamp_max(self._init + self._local + self.top_k)
        state.meter.note((read + group + 2 * kept + 2) * heads * d * ELEMENT)

    def cost(self, at: LayerAt) -> Cost:
        """Count the keys of the middle, (n - n_init - n_local) D, and 2D for each kept token and for the newest.

        Nothing is chosen where all are kept. With a `similarity_threshold` this is a plan, as if every step reused a
        selection, whose queries (D for each query head) are read to compare; what is moved beside that is measured.
        """
        kept = min(at.n, self._init + self._local + self.top_k)
        between = at.n - self._init - self._local if kept < at.n else 0
        queries = at.keys(at.group) if self.measured else 0
        return Cost(
            choose=queries or at.keys(between), attend=at.tokens(kept), write=at.newest, held=at.cache + queries
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the second copy of K, without rotation, that is held here; published code holds no other."""
        return at.n * at.head_dim if self.scores == "fixed_distance" else 0

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve top_k; n_init and n_local, where they are null, are at most an eighth and a quarter of the tokens."""
        always = {"n_init": min(INIT, budget.tokens // 8), "n_local": min(LOCAL, max(1, budget.tokens // 4))}
        given = always | without_null(fixed)
        return largest_knob(cls, "top_k", (1, budget.tokens), budget, **given)

    @property
    def _init(self) -> int:
        return INIT if self.n_init is None else self.n_init

    @property
    def _local(self) -> int:
        return LOCAL if self.n_local is None else self.n_local
