"""Finds the blocks of keys that matter by repeated halving of the past: HiP attention, decoding only."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_to, gather_tokens, top_newest
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt
from harness.methods.exemption import DenseLayers
from harness.methods.knob_types import Count, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["HiP"]


@dataclass
class Chosen:
    """Holds the first columns of the blocks chosen last, [B, H, M], which of them exist, and how many steps passed."""

    start: Tensor
    live: Tensor
    passed: int = 0
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True, kw_only=True)
class HiP(Method[Chosen]):
    """Splits the middle into k / block pieces, halves each and keeps the best halves, until each is a single block.

    A piece is judged by its best key: the largest q.k of the group's queries in one block, that at the `center` of the
    piece or its `first`. `sinks` and the last `window` tokens are always kept; `refresh` steps share a choice. One
    choice per KV head, where the published code has one per query head; the prompt is not masked. The sheet's defaults,
    version 1.1; the restricted code was not read.
    """

    about: ClassVar[About] = About(
        title="HiP",
        access="index",
        note="decoding only, one choice per KV head: the published method masks the prompt too, and chooses per query "
        "head",
        paper=Paper(
            title="A Training-free Sub-quadratic Cost Transformer Model Serving Framework With Hierarchically Pruned "
            "Attention",
            authors="Heejun Lee, Geon Park, Youngwan Lee, Jaduk Suh, Jina Kim, Wonyong Jeong, Bumsik Kim, Hyemin Lee, "
            "Myeongjae Jeon, Sung Ju Hwang",
            venue="ICLR",
            year=2025,
            arxiv="2406.09827",
        ),
    )
    measured: ClassVar[bool] = True  # how many pieces are halved again depends on the data
    excused: ClassVar[dict[str, str]] = {
        "transfers_never_fall_with_a_knob": "a larger k may save a round of halving, which costs more than k adds",
    }

    k: Size
    block: Size = 2
    sinks: Count = 16
    window: Size = 256
    sample: Literal["center", "first"] = "center"
    refresh: Size = 1
    dense_layers: DenseLayers = 3

    @property
    def pieces(self) -> int:
        """Count the pieces that the middle is split into, and the blocks that are chosen."""
        return max(1, self.k // self.block)

    def start(self, prefix: LayerPrefix) -> Chosen:
        """Start without a choice: the first step makes one."""
        b, h, _, _ = prefix.k.shape
        none = torch.zeros(b, h, 0, dtype=torch.long, device=prefix.k.device)
        return Chosen(none, none.bool())

    def attend(self, step: Step, state: Chosen) -> Tensor:
        """Attend to the sinks, the chosen blocks, and what follows the last whole block of the middle."""
        b, h, n, d = step.k.shape
        seen = step.mask.sum((1, 2))
        blocks = (seen - self.sinks - self.window).clamp_min(0) // self.block
        origin = n - seen + self.sinks
        scored = torch.zeros(b, h, dtype=torch.long, device=step.k.device)
        if state.passed % self.refresh == 0:
            state.start, state.live, scored = self._choose(step, origin, blocks)
        state.passed += 1
        index, live = self._columns(step, state, origin, origin + blocks * self.block)
        output, _ = attend_to(step, index.clamp(0, n - 1), live)
        state.meter.note((scored + 2 * live.sum(-1) + 2) * d * ELEMENT)
        return output

    def _columns(self, step: Step, state: Chosen, origin: Tensor, end: Tensor) -> tuple[Tensor, Tensor]:
        """List the columns of sinks, blocks and tail, [B, H, K], and which of them stand for a token of their own."""
        b, h, n, _ = step.k.shape

        def span(start: Tensor, count: int) -> Tensor:
            return start[..., None] + torch.arange(count, device=step.k.device)

        sinks, tail = (span(origin - self.sinks, self.sinks), span(end, self.window + self.block - 1))
        middle = span(state.start, self.block)
        kept = state.live[..., None] & (middle >= origin[:, None, None, None])  # a window may have moved past a block
        ends = torch.cat([sinks, tail], -1)[:, None].expand(b, h, -1)
        return torch.cat([ends, middle.flatten(2)], -1), torch.cat([ends < n, kept.flatten(2)], -1)

    def _choose(self, step: Step, origin: Tensor, blocks: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Halve pieces until each is one block: first columns [B, H, M], which exist, and keys scored [B, H]."""
        b, h, n, _ = step.k.shape
        edges = blocks[:, None] * torch.arange(self.pieces + 1, device=blocks.device) // self.pieces
        start, size = (x[:, None].expand(b, h, -1) for x in (edges[:, :-1], edges.diff(dim=1)))
        scored = torch.zeros(b, h, dtype=torch.long, device=blocks.device)
        longest = -(-max(0, (n - self.sinks - self.window) // self.block) // self.pieces)
        for _ in range((max(1, longest) - 1).bit_length()):
            half = size // 2
            unfinished = (size > 1).any(-1)
            start, size = torch.cat([start, start + half], -1), torch.cat([half, size - half], -1)
            scored += torch.where(unfinished, (size > 0).sum(-1) * self.block, 0)
            scores = self._scores(step, origin, start + size // 2 if self.sample == "center" else start)
            best = top_newest(scores.masked_fill(size == 0, -torch.inf), self.pieces, start)
            start, size = start.gather(2, best), size.gather(2, best)
        return origin[:, None, None] + start * self.block, size > 0, scored

    def _scores(self, step: Step, origin: Tensor, block: Tensor) -> Tensor:
        """Return the largest q.k over the keys of each block [B, H, C] and the queries of the group."""
        within = torch.arange(self.block, device=block.device)
        column = (origin[:, None, None, None] + block[..., None] * self.block + within).clamp_max(step.length - 1)
        keys = gather_tokens(step.k, column.flatten(2))
        b, h, g, _ = step.q.shape
        return (step.q @ keys.transpose(2, 3)).view(b, h, g, -1, self.block).amax((2, 4))

    def meter(self, state: Chosen) -> Meter:
        """Return what was scored, read and written; a key is counted in each round that scores it."""
        return state.meter

    def cost(self, at: LayerAt) -> Cost:
        """Estimate D for each key scored and 2D for each token read, the tail at its longest, and 2D written.

        A round scores two halves of each piece; the last one, of pieces of one or two blocks, as many as there are.
        Choosing is a mean over `refresh` steps. How many pieces of two blocks survive depends on the data.
        """
        blocks = max(0, at.n - self.sinks - self.window) // self.block
        rounds = int(math.log2(blocks / self.pieces)) if blocks > self.pieces else 0
        rest = blocks / 2**rounds if blocks > self.pieces * 2**rounds else 0
        scored = (2 * self.pieces * rounds + rest) * self.block / self.refresh
        kept = self.sinks + self.pieces * self.block + self.window + self.block - 1
        return Cost(at.keys(scored), at.tokens(min(at.n, kept)), at.newest, at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k: the largest that fits, though a smaller one may take a round more and not fit."""
        others = cls(**{**fixed, "k": 1})
        spare = others.sinks + others.window
        blocks = {max(0, s.visible(budget.n) - spare) // others.block for s in budget.layers}
        starts = {-(-count // 2**j) * others.block for count in blocks if count for j in range(count.bit_length())}
        low = high = budget.tokens
        for low in sorted({1, *starts}, reverse=True):  # between these the cost grows with k
            if budget.spent(cls(**{**fixed, "k": low})) <= budget.allowed:
                break
            high = low
        return largest_knob(cls, "k", (low, high), budget, **fixed)
