"""Drops the channels of older keys that the end of the prompt needs least: ThinK."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step, are_best
from harness.attention.statistics import QuerySquare, Statistic
from harness.attention.thinned import Thinned
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.eviction.snapkv import SnapKV
from harness.methods.knob_types import AtLeast, Count, Is, Size, SolvedWhere
from harness.methods.ratio import Budget, largest_knob, largest_share, without_null

__all__ = ["ThinK"]

PRUNED, VOTE_WINDOW = 0.4, 32
"""What knobs that are null stand for over a base: as published."""
Pruned = Annotated[float, Is("a share of at least 0, below 1", lambda value: 0 <= value < 1), SolvedWhere("base", None)]
Kept = Annotated[int, AtLeast(1), SolvedWhere("base", "snapkv")]


@dataclass(frozen=True, kw_only=True)
class ThinK(Method[Thinned]):
    """Drops a share `pruning_ratio` of the channels of K, by the last `query_window` queries of the prompt.

    A channel's score is the mean square of those queries times that of the keys. The last `recent_size` prompt tokens
    and all later ones keep every channel, V stays whole. Each KV head chooses once for its group or, as released, each
    `query_head` for itself: then a KV head reads what any of them has.

    base="snapkv" evicts first, and channels are those of the k tokens left: `vote_window` (32) and k are SnapKV's
    `window` and `k`, its other knobs are at their defaults, `per` says who votes too. A ratio is then solved for k, at
    a pruning_ratio of 0.4 unless it is given.
    """

    about: ClassVar[About] = About(
        title="ThinK",
        access="all",
        note="alone by default, where published tables have it after an eviction (base=snapkv); one choice of channels "
        "per KV head",
        paper=Paper(
            title="ThinK: Thinner Key Cache by Query-Driven Pruning",
            authors="Yuhui Xu, Zhanming Jie, Hanze Dong, Lei Wang, Xudong Lu, Aojun Zhou, Amrita Saha, Caiming Xiong, "
            "Doyen Sahoo",
            venue="ICLR",
            year=2025,
            arxiv="2407.21018",
        ),
    )
    excused: ClassVar[dict[str, str]] = {
        "a_budget_of_k_alone_drops_nothing": "channels go beside the tokens that k counts",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "over a base, queries that saw them have voted",
    }

    pruning_ratio: Pruned | None = None
    recent_size: Count = 32
    query_window: Size = 32
    per: Literal["kv_head", "query_head"] = "kv_head"
    base: Literal["snapkv"] | None = None
    k: Kept | None = None
    vote_window: Size | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.base is None:
            given = [knob for knob in ("k", "vote_window") if getattr(self, knob) is not None]
            if given:
                raise InputError(f"ThinK has no {' and no '.join(given)} without a base: set base=snapkv")
            if self.pruning_ratio is None:
                raise InputError("ThinK needs pruning_ratio without a base: set it")
        elif self.k is None:
            raise InputError(f"ThinK needs k with base={self.base}: set it")
        elif self._votes >= self.k:
            raise InputError(f"ThinK needs vote_window of at most k - 1 = {self.k - 1}, not {self._votes}")

    @property
    def resolved(self) -> Self:
        """Return the method with what a base needs as numbers."""
        return self if self.base is None else replace(self, pruning_ratio=self._pruned, vote_window=self._votes)

    @property
    def observes(self) -> frozenset[Statistic]:
        """Return the squares of the last queries, and what the base chooses by."""
        squares: frozenset[Statistic] = frozenset({QuerySquare(self.query_window)})
        return squares if self._eviction is None else squares | self._eviction.observes

    def start(self, prefix: LayerPrefix) -> Thinned:
        """Evict, then drop channels."""
        kept = None if self._eviction is None else self._eviction.keep(prefix) & prefix.visible[:, :, None]
        channels = self._channels(prefix, prefix.visible[:, :, None] if kept is None else kept)
        return Thinned(prefix, channels, self.recent_size, kept)

    def attend(self, step: Step, state: Thinned) -> Tensor:
        """Attend to all that is left."""
        return state.attend(step)

    def cost(self, at: LayerAt) -> Cost:
        """Count the channels left of older tokens, which are written down in a bit each, and all of the others and V.

        Where query heads choose alone, it is the most that they keep together.
        """
        left = at.prompt if self._eviction is None else self._eviction.survivors(at)
        thin, tokens = max(0, left - self.recent_size), left + at.n - at.prompt
        choices = at.group if self.per == "query_head" else 1
        channels = self._channels_left(at.head_dim)
        mask = choices * at.head_dim if thin and channels < at.head_dim else 0
        cached = at.elements(thin * min(at.head_dim, choices * channels)) + at.keys(tokens - thin) + at.keys(tokens)
        return Cost(choose=mask, attend=cached, write=at.newest, held=cached + mask)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve pruning_ratio; over a base k, at a pruning_ratio that is given or 0.4."""
        given = without_null(fixed)
        if "base" in given:
            given = {"pruning_ratio": PRUNED, "vote_window": VOTE_WINDOW, **given}
            return largest_knob(cls, "k", (given["vote_window"] + 1, budget.tokens), budget, **given)
        try:
            return largest_share(cls._keeping, "kept", budget, **given)
        except InputError as error:
            more = "V stays whole, so that at most half of the bytes go: with base=snapkv tokens go too"
            raise InputError(f"{error}; {more}") from None

    @classmethod
    def _keeping(cls, kept: float, **others: Any) -> Self:
        return cls(**{**others, "pruning_ratio": round(1 - kept, 6)})

    @property
    def _pruned(self) -> float:
        return PRUNED if self.pruning_ratio is None else self.pruning_ratio

    @property
    def _votes(self) -> int:
        return self.vote_window or VOTE_WINDOW

    @property
    def _eviction(self) -> SnapKV | None:
        if self.k is None:
            return None
        return SnapKV(self.k, window=self._votes, group="none" if self.per == "query_head" else "mean")

    def _channels_left(self, width: int) -> int:
        return width - int(width * self._pruned)

    def _channels(self, prefix: LayerPrefix, among: Tensor) -> Tensor:
        """Choose the channels that stay by the tokens `among` [B, H or 1, G or 1, S]: [B, H, G or 1, D] bool."""
        queries = prefix.statistics[QuerySquare(self.query_window)]
        if self.per == "kv_head":
            queries = queries.mean(2, keepdim=True)
        keys = prefix.k.to(torch.promote_types(prefix.k.dtype, torch.float32)).square()
        score = queries * (among.to(keys.dtype) @ keys)  # a sum is a mean: the count is the same for all channels
        return are_best(score, self._channels_left(score.shape[3]))
