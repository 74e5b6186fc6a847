"""Computes ReAttention: the best keys without positions bring their neighbours, and all are seen side by side."""

from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import max_pool1d, pad

from harness.attention import LayerPrefix, Meter, Step, are_best, attend_to, columns_of, ends, top_newest
from harness.attention.unrotated import Unrotated, attend_in_a_row, paired_modulo
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method, Need
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.knob_types import Count, Is, Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["ReAttention"]

SINKS, LOCAL, BLOCK = 32, 4096, 128
"""Counts the first and the last tokens that are always kept, and what the middle is a multiple of, as released."""
Clip = Annotated[int, Is("-1 or an integer of at least 1", lambda value: value == -1 or value >= 1, (int,))]
Even = Annotated[int, Is("an even number of at least 2", lambda value: value >= 2 and value % 2 == 0, (int,))]


@dataclass
class Searched:
    """Holds a layer's un-rotated keys, and what its steps moved."""

    keys: Unrotated
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class ReAttention(Method[Searched]):
    """Attends to the first `sinks` tokens, spans around the layer's hits between, and the last `local` tokens.

    Each query head hits the `top` tokens with the largest q.k, both un-rotated; all heads of the layer share the `clip`
    hits that most of them voted for (-1: all), each with `span` tokens around it. The window gives up 1 to `block`
    tokens, so that what lies between is a multiple of `block`; top = 0 leaves sinks and window alone. `reindex`: kept
    tokens are seen side by side. `pairing`: "released" scores query head h by KV head h mod H, a mistake of
    the release. Left null, sinks is 32, local 4096 and block 128, as released for Llama 3. Source: paper, section 3.
    """

    about: ClassVar[About] = About(
        title="ReAttention",
        access="keys",
        note="in decode steps only: the published method selects in the prefill too; solved for a ratio, sizes are "
        "smaller than released for short prompts",
        paper=Paper(
            title="ReAttention: Training-Free Infinite Context with Finite Attention Scope",
            authors="Xiaoran Liu, Ruixiao Li, Qipeng Guo, Zhigeng Liu, Yuerong Song, Kai Lv, Hang Yan, Linlin Li,"
            " Qun Liu, Xipeng Qiu",
            venue="ICLR",
            year=2025,
            arxiv="2407.15176",
        ),
    )

    clip: Clip
    sinks: Count | None = None
    local: Size | None = None
    top: Count = 4
    span: Even = 32
    block: Size | None = None
    reindex: bool = True
    pairing: Literal["paper", "released"] = "paper"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self._block >= self._local:
            raise InputError(f"ReAttention needs block of at most local - 1 = {self._local - 1}, not {self._block}")

    @property
    def resolved(self) -> Self:
        """Return the method with the released sizes as numbers."""
        return replace(self, sinks=self._sinks, local=self._local, block=self._block)

    @property
    def needs(self) -> frozenset[Need]:
        """Return "rope": keys are scored without positions."""
        return frozenset({"rope"})

    @property
    def measured(self) -> bool:
        """Return True unless nothing is searched: how much spans overlap depends on the data."""
        return self.top > 0

    def meter(self, state: Searched) -> Meter | None:
        """Return the meter of a layer."""
        return state.meter if self.measured else None

    def start(self, prefix: LayerPrefix) -> Searched:
        """Un-rotate the prompt's keys."""
        return Searched(Unrotated(prefix))

    def attend(self, step: Step, state: Searched) -> Tensor:
        """Choose for all heads at once and attend; where sinks and window hold all tokens, that is dense attention."""
        state.keys.append(step)
        mask = step.mask[:, 0]
        beyond = mask.sum(-1, keepdim=True) - self._sinks - self._local
        window = self._local - (self._block - beyond % self._block if self.top else 0)
        always = ends(mask, self._sinks, window) | (mask & (beyond <= 0))
        kept = always | self._spans(step, state.keys, mask & ~always)
        self._note(step, state.meter, (mask & ~always).sum(-1), kept.sum(-1))
        index, live = columns_of(kept[:, None])
        if self.reindex:
            return attend_in_a_row(step, state.keys.rope, index, live)
        return attend_to(step, index, live)[0]

    def _spans(self, step: Step, keys: Unrotated, middle: Tensor) -> Tensor:
        """Return which tokens of the middle, [B, N] bool, lie within span / 2 of a hit."""
        if self.top == 0:
            return torch.zeros_like(middle)
        q = keys.query(step, 0)
        scores = (q if self.pairing == "paper" else paired_modulo(q)) @ keys.rows.transpose(2, 3)
        hits = top_newest(scores.masked_fill(~middle[:, None, None], -torch.inf), self.top).flatten(1)
        votes = torch.zeros(middle.shape, device=q.device).scatter_add(1, hits, middle.gather(1, hits).float())
        hit = votes > 0
        if self.clip > 0:
            hit = hit & are_best(votes, self.clip)
        around = pad(hit.float()[:, None], (self.span // 2 - 1, self.span // 2))
        return middle & (max_pool1d(around, self.span, 1)[:, 0] > 0)

    def _note(self, step: Step, meter: Meter, scored: Tensor, kept: Tensor) -> None:
        """Note what each row's KV heads moved: keys scored [B], tokens kept [B], the newest written."""
        heads, _, d = step.q.shape[1:]
        meter.note((scored + 2 * kept + 2) * heads * d * ELEMENT)

    def cost(self, at: LayerAt) -> Cost:
        """Count the keys of the middle, and 2D for each kept token, at most: spans are counted as if none overlapped.

        A hit's keys are read twice: to choose, and to attend.
        """
        beyond = at.n - self._sinks - self._local
        if beyond <= 0:
            return Cost(attend=at.cache, write=at.newest, held=at.cache)
        window = self._local - (self._block - beyond % self._block if self.top else 0)
        middle = at.n - self._sinks - window
        hits = self.top * at.kv_heads * at.group
        spans = min(middle, self.span * (min(hits, self.clip) if self.clip > 0 else hits))
        return Cost(
            choose=at.keys(middle) if self.top else 0,
            attend=at.tokens(self._sinks + window + spans),
            write=at.newest,
            held=at.cache,
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count the second copy of K, without rotation, that is held here; published code holds no other."""
        return at.n * at.head_dim

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve clip; where all hits together move less, clip is their number and a `local` that is null is solved.

        Sizes that are null are the released ones, but of the tokens (ours, for short prompts) sinks are at most 1/32
        and the window, before it is solved, 1/8; `block` is at most 1/8 of that.
        """
        local = min(LOCAL, max(2, budget.tokens // 8))
        sizes = {"sinks": min(SINKS, budget.tokens // 32), "local": local, "block": min(BLOCK, max(1, local // 8))}
        given = without_null(fixed)
        hits = max(layer.kv_heads * layer.group for layer in budget.layers) * max(1, given.get("top", cls.top))
        every = {"clip": hits} | sizes | given
        if {"clip", "local"} & set(given) == {"clip"} or budget.spent(cls(**every)) < budget.allowed:
            high = budget.tokens if "local" not in given else every["local"]
            return largest_knob(cls, "local", (every["local"], high), budget, **every)
        return largest_knob(cls, "clip", (1, hits), budget, **every)

    @property
    def _sinks(self) -> int:
        return SINKS if self.sinks is None else self.sinks

    @property
    def _local(self) -> int:
        return LOCAL if self.local is None else self.local

    @property
    def _block(self) -> int:
        return BLOCK if self.block is None else self.block
