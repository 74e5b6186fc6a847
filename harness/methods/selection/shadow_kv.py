"""Computes ShadowKV: mean keys choose chunks, whose keys are rebuilt from few dimensions; odd chunks stay exact."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from harness.attention import LayerPrefix, Step, attend_own, gather_mask, gather_tokens, softmax, top_newest
from harness.attention.index.factors import low_rank
from harness.attention.unrotated import rope_of
from harness.methods.about import About, Paper
from harness.methods.contract import Method, Need
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Count, Size
from harness.methods.ratio import Budget, largest_knob, without_null

__all__ = ["ShadowKV"]

TOKENS, RANK, OUTLIERS = 2048, 160, 48
"""Counts tokens chosen, dimensions (of 1024: 8 KV heads of 128) and chunks that stay exact, as released."""


@dataclass(frozen=True)
class Shadow:
    """Holds what a prompt leaves behind in a layer, in W chunks of tokens, counted from each row's first live token.

    landmarks: [B, H, W, D], of which `remain` [B, H, W] can be chosen. rebuilt: [B, H, S, D] rotated keys of low rank,
    once for all steps. exact: [B, H, O chunk] columns of the odd chunks, `odd` where they exist. first: [B, 1, 1], the
    first live token's; tail: [B, 1, 1], from which on tokens are exact; since: the oldest tail of any row.
    """

    landmarks: Tensor
    remain: Tensor
    rebuilt: Tensor
    exact: Tensor
    odd: Tensor
    first: Tensor
    tail: Tensor
    since: int


@dataclass(frozen=True)
class ShadowKV(Method[Shadow]):
    """Attends to the prompt's end, decoded tokens and odd chunks as they are, and to k chosen tokens with rebuilt keys.

    A chunk's landmark is the mean of its rotated keys; chunks whose keys are least alike (smallest cosine to it) stay
    exact, `outliers` of each KV head. Of the others those are chosen whose landmark has the largest softmax weight of
    any query head of the group, k tokens rounded down to chunks. All but their V is rebuilt: un-rotated keys of all KV
    heads of the layer have `rank` dimensions. Decoded tokens and the last `local_chunks` chunks are never dropped. Left
    null, rank is 160 and outliers 48, as released. This is the class that published accuracies are from; the release's
    fast one keeps exact keys of some chunks. It acts at any length (released: above 4096 tokens).
    """

    about: ClassVar[About] = About(
        title="ShadowKV",
        access="index",
        paper=Paper(
            title="ShadowKV: KV Cache in Shadows for High-Throughput Long-Context LLM Inference",
            authors="Hanshi Sun, Li-Wen Chang, Wenlei Bao, Size Zheng, Ningxin Zheng, Xin Liu, Harry Dong, Yuejie Chi,"
            " Beidi Chen",
            venue="ICML",
            year=2025,
            arxiv="2410.21465",
        ),
        note="the released class that published accuracies are from, at any length; solved for a ratio, rank and "
        "outliers are smaller than released for few KV heads and short prompts",
    )
    rounds_at_start: ClassVar[bool] = True  # landmarks and rebuilt keys are held in the cache's type
    excused: ClassVar[Mapping[str, str]] = {
        "a_budget_of_k_alone_drops_nothing": "rebuilt keys stay approximate, however many are chosen",
        "transfers_never_fall_with_length": "a prompt's ragged end, kept exact, grows into a chunk to choose",
        "a_sliding_window_equals_starting_anew_at_every_step": "chunks are the prompt's: decoded tokens join none",
        "tokens_that_a_sliding_window_dropped_have_no_influence": "one factorisation is of the whole prompt",
    }

    k: Size
    chunk: Size = 8
    rank: Size | None = None
    outliers: Count | None = None
    local_chunks: Count = 4

    @property
    def resolved(self) -> Self:
        """Return the method with the released sizes as numbers."""
        return replace(self, rank=self._rank, outliers=self._outliers)

    @property
    def needs(self) -> frozenset[Need]:
        """Return "rope": keys are of lower rank without it."""
        return frozenset({"rope"})

    def start(self, prefix: LayerPrefix) -> Shadow:
        """Cut the prompt into chunks, set the odd ones apart, and factorise its un-rotated keys."""
        heads, s = prefix.k.shape[1:3]
        first, rope = prefix.first[:, None, None], rope_of(prefix)
        count = (prefix.lengths // self.chunk - self.local_chunks).clamp_min(0)[:, None, None]
        chunks = torch.arange(max(1, s // self.chunk - self.local_chunks), device=first.device)
        columns = self._columns(first, chunks.expand(len(first), heads, -1)).clamp_max(s - 1)
        keys = gather_tokens(prefix.k, columns).unflatten(2, (-1, self.chunk))  # type: ignore[no-untyped-call]
        landmarks, exists = keys.mean(3), chunks < count.expand(-1, heads, -1)
        alike = cosine_similarity(landmarks[:, :, :, None], keys, dim=-1).amin(-1)
        outliers = top_newest((-alike).masked_fill(~exists, -torch.inf), self._outliers)
        remain = exists & ~torch.zeros_like(exists).scatter(2, outliers, True)
        position = torch.arange(s, device=first.device) - first
        left, right = low_rank(rope.turn(prefix.k, -position), self._rank)
        rebuilt = rope.turn(left[:, None] @ right, position)
        exact = self._columns(first, outliers).clamp_max(s - 1)
        odd = exists.gather(2, outliers).repeat_interleave(self.chunk, 2)
        tail = first + count * self.chunk
        return Shadow(landmarks, remain, rebuilt, exact, odd, first, tail, int(tail.min()))

    def attend(self, step: Step, state: Shadow) -> Tensor:
        """Choose chunks by their landmarks and attend to them, with rebuilt keys, beside all that is exact."""
        chosen, live = self._chosen(step, state)
        recent = torch.arange(state.since, step.length, device=chosen.device).expand(*chosen.shape[:2], -1)
        exact = torch.cat((state.exact, recent), 2)
        keys = torch.cat((gather_tokens(state.rebuilt, chosen), gather_tokens(step.k, exact)), 2)
        index = torch.cat((chosen, exact), 2)
        mask = torch.cat((live, state.odd, recent >= state.tail), 2) & gather_mask(step.mask, index)
        return attend_own(step, index, mask[:, :, None], keys)

    def _chosen(self, step: Step, state: Shadow) -> tuple[Tensor, Tensor]:
        """Return the columns of the chosen chunks' tokens, [B, H, K], and which of them are real."""
        weights = softmax(step.scores(step.q, state.landmarks.to(step.q.dtype)), state.remain[:, :, None]).amax(2)
        best = top_newest(weights.masked_fill(~state.remain, -torch.inf), self.k // self.chunk)
        live = state.remain.gather(2, best).repeat_interleave(self.chunk, 2)
        return self._columns(state.first, best).clamp_max(state.rebuilt.shape[2] - 1), live

    def _columns(self, first: Tensor, chunks: Tensor) -> Tensor:
        """Return the columns [B, H, W chunk] of the tokens of chunks [B, H, W]."""
        inside = torch.arange(self.chunk, device=chunks.device)
        return (first[..., None] + chunks[..., None] * self.chunk + inside).flatten(2)

    def scored(self, at: LayerAt) -> float:
        """Count the chunks."""
        return -(-at.n // self.chunk)

    def cost(self, at: LayerAt) -> Cost:
        """Count landmarks; rank elements and V of each chosen token, and the right factor; K and V of exact tokens.

        Each KV head chooses its own tokens, so that it reads rows of the shared factor that others do not. Held are
        landmarks, both factors, V, and K of exact tokens; all other K is dropped.
        """
        chunks = max(0, at.prompt // self.chunk - self.local_chunks)
        outliers = min(self._outliers, chunks)
        chosen = min(self.k // self.chunk, chunks - outliers) * self.chunk
        exact = at.n - (chunks - outliers) * self.chunk
        rank, landmarks = min(self._rank, at.kv_heads * at.head_dim), at.keys(chunks - outliers)
        right = at.elements(rank * at.head_dim)
        return Cost(
            choose=landmarks,
            attend=at.elements(chosen * rank) + (right if chosen else 0) + at.keys(chosen) + at.tokens(exact),
            write=at.newest,
            held=landmarks + at.elements(at.prompt * rank / at.kv_heads) + right + at.keys(at.n + exact),
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count landmarks and rebuilt keys, which are held here beside the whole cache."""
        return at.prompt * at.head_dim * (1 + 1 / self.chunk)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k in whole chunks; for a budget of memory, or a given k, the rank (k is 2048 where it is null).

        Ours, for short prompts and few KV heads: a null `outliers` is 48 but at most an eighth of the budget's tokens,
        a null rank is 160 but at most its published part of the layer's width (160 / 1024).
        """
        given = without_null(fixed)
        chunk, width = given.get("chunk", cls.chunk), max(shape.kv_heads * shape.head_dim for shape in budget.layers)
        odd = {"outliers": min(OUTLIERS, int(budget.tokens / (8 * budget.ratio * chunk)))}
        if "rank" not in given and (budget.of == "held" or "k" in given):
            return largest_knob(cls, "rank", (1, width), budget, **({"k": TOKENS} | odd | given))
        rest = {"rank": max(1, min(RANK, width * RANK // 1024))} | odd | given
        high = max(1, budget.tokens // chunk)
        return largest_knob(lambda chunks, **of: cls(**of | {"k": chunks * chunk}), "chunks", (1, high), budget, **rest)

    @property
    def _rank(self) -> int:
        return RANK if self.rank is None else self.rank

    @property
    def _outliers(self) -> int:
        return OUTLIERS if self.outliers is None else self.outliers
