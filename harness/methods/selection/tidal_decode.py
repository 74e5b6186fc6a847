"""Chooses tokens in two layers, whose choice all layers above attend to: TidalDecode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Meter, Step, attend_to, attend_where, gather_mask, softmax, top_newest
from harness.errors import InputError
from harness.methods.about import About, Paper
from harness.methods.contract import Method
from harness.methods.cost import ELEMENT, Cost, LayerAt, dense_cost
from harness.methods.knob_types import Count, Size
from harness.methods.ratio import Budget, largest_knob

__all__ = ["TidalDecode"]


@dataclass(frozen=True)
class Place:
    """Holds a layer's number, whether it is the last, and the sets [B, H, K] or [B, H, G, K] chosen at each length."""

    layer: int
    last: bool
    sets: dict[int, Tensor]
    meter: Meter = field(default_factory=Meter)


@dataclass(frozen=True)
class TidalDecode(Method[Place]):
    """Attends to all in layers `sparse_layer_start` and `correction_layer`; others read the top tokens of the last.

    Layers below `sparse_layer_start` are dense. The `token_budget` tokens of the largest logits (summed over the group,
    or by query head as published) are chosen at every step; the newest competes like any other. A layer whose window
    hides all of them attends to the newest (ours). The best correction layer differs by model: 13 is Llama-3-8B's.
    """

    about: ClassVar[About] = About(
        title="TidalDecode",
        access="history",
        paper=Paper(
            title="TidalDecode: Fast and Accurate LLM Decoding with Position Persistent Sparse Attention",
            authors="Lijie Yang, Zhihao Zhang, Zhuofu Chen, Zikun Li, Zhihao Jia",
            venue="ICLR",
            year=2025,
            arxiv="2410.05076",
        ),
        note="one choice per KV head, where the published code makes one per query head; correction_layer 13, the "
        "default, was found for Llama 3 8B",
    )
    layered: ClassVar[bool] = True

    token_budget: Size
    sparse_layer_start: Count = 2
    correction_layer: Count = 13
    per_query_head: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.correction_layer < self.sparse_layer_start:
            raise InputError("TidalDecode needs correction_layer of at least sparse_layer_start: raise it")
        if not self.exemption.acts_in(self.sparse_layer_start, windowed=False):
            raise InputError(
                f"TidalDecode chooses in layer {self.sparse_layer_start}, which dense_layers leaves dense: "
                "set sparse_layer_start to a layer in which it acts"
            )

    def start(self, prefix: LayerPrefix) -> Place:
        """Note where the layer stands, and what it shares with the others."""
        return Place(prefix.layer, prefix.layer == prefix.layers - 1, prefix.shared)

    def attend(self, step: Step, state: Place) -> Tensor:
        """Attend densely and choose, or attend to what a layer below chose in this step."""
        if self._is_dense(state.layer):
            logits = step.scores(step.q, step.k)
            if self._chooses(state.layer) and not state.last:
                state.sets[step.length] = self._choose(step, logits)
            self._note(step, state, step.mask[:, :, None])
            return softmax(logits, step.mask[:, :, None]).to(step.v.dtype) @ step.v
        if step.length not in state.sets:
            raise InputError(
                f"no layer below {state.layer} chose tokens for it: set sparse_layer_start to one in which "
                "tidal_decode acts, and let all layers share one dictionary"
            )
        chosen = state.sets.pop(step.length) if state.last else state.sets[step.length]
        chosen = chosen.to(step.k.device)  # of a layer that may lie elsewhere
        return self._by_query_head(step, state, chosen) if self.per_query_head else self._by_kv_head(step, chosen)

    def _is_dense(self, layer: int) -> bool:
        return layer < self.sparse_layer_start or self._chooses(layer)

    def _chooses(self, layer: int) -> bool:
        return layer in (self.sparse_layer_start, self.correction_layer)

    def _choose(self, step: Step, logits: Tensor) -> Tensor:
        """Choose the tokens of the largest logits [B, H, G, N], hidden ones too where too few are seen."""
        if self.per_query_head:
            return top_newest(logits.masked_fill(~step.mask[:, :, None], -torch.inf), self.token_budget)
        return top_newest(logits.sum(2).masked_fill(~step.mask, -torch.inf), self.token_budget)

    def _by_kv_head(self, step: Step, chosen: Tensor) -> Tensor:
        """Attend to the tokens of the set that the layer sees, or to the newest if it sees none."""
        blind = ~gather_mask(step.mask, chosen).any(-1, keepdim=True)
        newest = torch.full_like(chosen[..., :1], step.length - 1)
        live = torch.cat([torch.ones_like(chosen, dtype=torch.bool), blind], -1)
        return attend_to(step, torch.cat([chosen, newest], -1), live)[0]

    def _by_query_head(self, step: Step, state: Place, chosen: Tensor) -> Tensor:
        """Attend, each query head, to the tokens of its own set [B, H, G, K], or to the newest if none is seen."""
        b, h, g, _ = step.q.shape
        kept = torch.zeros(b, h, g, step.length, dtype=torch.bool, device=chosen.device)
        kept = kept.scatter(3, chosen, True) & step.mask[:, :, None]
        kept[..., -1] |= ~kept.any(-1)
        self._note(step, state, kept)
        return attend_where(step, kept)

    def _note(self, step: Step, state: Place, kept: Tensor) -> None:
        """Note what a step reads and writes where query heads keep [B, H, G, N], if that is to be measured."""
        if self.measured:
            rows = kept.any(2).sum(-1).expand(-1, step.k.shape[1])
            state.meter.note((2 * rows + 2) * step.k.shape[3] * ELEMENT)

    @property
    def measured(self) -> bool:
        """Return True if query heads choose: how far their sets overlap depends on the data."""
        return self.per_query_head

    def meter(self, state: Place) -> Meter | None:
        """Return what was read and written, if it depends on the data."""
        return state.meter if self.measured else None

    def cost(self, at: LayerAt) -> Cost:
        """Count dense attention in the layers that choose and below them, 2kD + 2D elements in the others.

        What query heads choose apart is counted without overlap. The columns of a set are not counted.
        """
        if self._is_dense(at.layer):
            return dense_cost(at)
        chosen = self.token_budget * (at.group if self.per_query_head else 1)
        return Cost(attend=at.tokens(min(chosen, at.n)), write=at.newest, held=at.cache)

    @classmethod
    def at(cls, budget: Budget, **fixed: Any) -> Self:
        """Solve token_budget for the mean over all layers, at most as many as there are to one that is dense."""
        least = cls(**{**fixed, "token_budget": 1})
        start = least.sparse_layer_start
        if start < len(budget.layers) and not least.exemption.acts_in(start, budget.layers[start].window is not None):
            raise InputError(f"it chooses in layer {start}, which has a window: set sparse_layer_start to a full layer")
        return largest_knob(cls, "token_budget", (1, budget.tokens), budget, **fixed)
