"""Simulates RetrievalAttention: exact attention over static tokens and those that an index of the keys finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import pad

from harness.attention import LayerPrefix, Step, are_best, attend_where, ends, uniform
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import Cost, LayerAt
from harness.methods.knob_types import Count, Share, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["RetrievalAttention"]

EDGES = 64
"""Elements of a token's edges in the index: some 32 neighbours (ours) of 32 bits each."""


@dataclass(frozen=True)
class Index:
    """Holds which prompt tokens are indexed [B, 1, S], and which of them each KV head's index finds [B, H, S]."""

    indexed: Tensor
    reachable: Tensor


@dataclass(frozen=True)
class RetrievalAttention(Method[Index]):
    """Attends to `sinks`, the prompt's last `local` and all decoded tokens, and to k that each query head searches for.

    The index is simulated, as no code of the method was released: it looks at the share `scan` of its tokens, which
    changes the cost alone, and of those that the query would find, it misses each with probability 1 - `recall`, the
    same ones at every step. That a scan of 2% finds all is the paper's claim, not a result of the simulation. Decoded
    tokens are never indexed. Published: sinks 128, local 512, k 100, scan .01 to .03 (the first three from memory).
    """

    about: ClassVar[About] = About(
        title="RetrievalAttention",
        access="index",
        note="its index is simulated: recall and scan are assumed, no code of it was released",
        paper=Paper(
            title="RetrievalAttention: Accelerating Long-Context LLM Inference via Vector Retrieval",
            authors="Di Liu, Meng Chen, Baotong Lu, Huiqiang Jiang, Zhenhua Han, Qianxi Zhang, Qi Chen, "
            "Chengruidong Zhang, Bailu Ding, Kai Zhang, Chen Chen, Fan Yang, Yuqing Yang, Lili Qiu",
            venue="NeurIPS",
            year=2025,
            arxiv="2409.10516",
        ),
    )
    simulated: ClassVar[bool] = True
    excused: ClassVar[Mapping[str, str]] = {
        "a_budget_of_k_alone_drops_nothing": "tokens that the index misses are never found, however many are asked for",
        "a_sliding_window_equals_starting_anew_at_every_step": "only the prompt is indexed, once and for all",
    }

    k: Size
    sinks: Count = 128
    local: Count = 512
    recall: Share = 1.0
    scan: Share = 0.02
    seed: Count = 0

    def start(self, prefix: LayerPrefix) -> Index:
        """Index all prompt tokens but the first and the last ones, and settle which of them are found."""
        indexed = prefix.mask & ~ends(prefix.mask, self.sinks, self.local)
        return Index(indexed, indexed & (self.draws(prefix) < self.recall))

    def draws(self, prefix: LayerPrefix) -> Tensor:
        """Draw a number for each token of each KV head, [B, H, S]: it is found where that is below `recall`."""
        token = (prefix.mask.cumsum(-1) - 1).clamp_min(0)
        head = torch.arange(prefix.k.shape[1], device=token.device)[:, None]
        return uniform(self.seed, prefix.layer, head, token)

    def attend(self, step: Step, state: Index) -> Tensor:
        """Search for each query head by exact logits, then attend to all that was found and to the static tokens."""
        grown = (0, step.length - state.indexed.shape[-1])
        reachable = (pad(state.reachable, grown) & step.mask)[:, :, None]
        found = are_best(step.scores(step.q, step.k).masked_fill(~reachable, -torch.inf), self.k)
        return attend_where(step, (found & reachable) | ~pad(state.indexed, grown)[:, :, None])

    def cost(self, at: LayerAt) -> Cost:
        """Count the keys and edges that each query head's search visits, the static tokens, and V of all found.

        A search visits `scan` of the index, or k tokens if that is more, and reads the found tokens' keys with them.
        Found tokens count once per query head, though heads of a group may find the same.
        """
        indexed = max(0, at.prompt - self.sinks - self.local)
        k = min(self.k, indexed)
        visited = at.group * max(self.scan * indexed, k)
        return Cost(
            choose=at.keys(visited) + at.elements(EDGES * visited),
            attend=at.tokens(at.n - indexed) + at.keys(at.group * k),
            write=at.newest,
            held=at.cache + at.elements(EDGES * indexed),
        )

    def state_elements(self, at: LayerAt) -> float:
        """Count two flags per token: no graph is built here."""
        return at.n

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve k. The static tokens stay as they are: short prompts ask for fewer `sinks` and `local`, 1 to 4."""
        return largest_knob(cls, "k", (1, budget.tokens), budget, **fixed)
