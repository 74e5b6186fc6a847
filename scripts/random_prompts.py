"""Makes the layer of a random prompt, and the decode steps after it, for `benchmark_methods.py`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefix, LayerShape, Rope, Scores, Step
from harness.attention.calibration import Calibrator
from harness.attention.prefill import LayerPrefill
from harness.attention.statistics import LayerPrompt, Statistic, observe
from harness.bench.cases import compressing, reweighed
from harness.methods import Method

SHARPNESS = 3.0
"""Standard deviation of the logits."""


@dataclass(frozen=True)
class Shape:
    """Describes the attention layers of a model and the batch that they are measured at."""

    layer: LayerShape
    layers: int
    batch: int


SHAPES = {
    "smollm2": Shape(LayerShape(3, 64, group=3), layers=30, batch=8),
    "llama-3-8b": Shape(LayerShape(8, 128, group=4), layers=32, batch=1),
}


@dataclass(frozen=True)
class Prompt:
    """Holds random tensors of a layer after a prompt of `length` tokens, and of the `steps` that follow."""

    shape: Shape
    length: int
    steps: int

    @cached_property
    def tensors(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return q [1, H, G, S+T, D], and k and v [B, H, S+T, D] whose rows are alike."""
        layer, made = self.shape.layer, torch.Generator().manual_seed(0)
        places = self.length + self.steps, layer.head_dim
        q = SHARPNESS * torch.randn(1, layer.kv_heads, layer.group, *places, generator=made)
        k, v = (torch.randn(1, layer.kv_heads, *places, generator=made) for _ in range(2))
        return q, k.repeat(self.shape.batch, 1, 1, 1), v.repeat(self.shape.batch, 1, 1, 1)

    @cached_property
    def scores(self) -> Scores:
        """Return the scores of the architecture."""
        return Scores(self.shape.layer.head_dim**-0.5)

    @property
    def _inputs(self) -> Tensor:
        """Return what is given out as the hidden states that enter attention, [1, S, H D]: the keys."""
        return self.tensors[1][:1, :, : self.length].transpose(1, 2).flatten(2)

    @cached_property
    def _observed(self) -> dict[Statistic, Tensor]:
        return {}

    @cached_property
    def _learnt(self) -> dict[tuple[Calibrator[Any], int], Any]:
        return {}

    def prefix(self, method: Method[Any], layer: int, shared: dict[Any, Any]) -> LayerPrefix:
        """Return what a method is given of the prompt in one layer."""
        (q, k, v), s = self.tensors, self.length
        rope = Rope.plain(10_000.0, self.shape.layer.head_dim)
        for one in method.observes - self._observed.keys():
            mask = torch.ones(1, s, dtype=torch.bool)
            prompt = LayerPrompt(
                q[:, :, :, :s], k[:1, :, :s], mask, self.scores, layer=layer, rope=rope, inputs=self._inputs
            )
            self._observed[one] = observe({one}, prompt)[one]
        statistics = {one: self._rows(self._observed[one]) for one in method.observes}
        learnt = method.calibrator and self._learn(method.calibrator, layer, rope)
        mask = torch.ones(self.shape.batch, 1, s, dtype=torch.bool)
        k, v = k[:, :, :s], v[:, :, :s]
        return LayerPrefix(
            k,
            v,
            mask,
            self.steps,
            layer,
            self.shape.layers,
            statistics,
            rope,
            learnt,
            shared,
            reweighed(method, k, layer),
            compress=compressing(method),
        )

    def _learn(self, calibrator: Calibrator[Any], layer: int, rope: Rope) -> Any:
        """Return what is learnt of a layer from the prompt itself, once."""
        if (calibrator, layer) not in self._learnt:
            (q, k, v), s = self.tensors, self.length
            prompt = LayerPrefill(
                q[:, :, :, :s],
                k[:1, :, :s],
                None,
                self.scores,
                v=v[:1, :, :s],
                layer=layer,
                rope=rope,
                inputs=self._inputs,
            )
            self._learnt[calibrator, layer] = calibrator.finish(calibrator.fold(None, prompt))
        return self._learnt[calibrator, layer]

    def step(self, t: int) -> Step:
        """Return decode step t, from 0."""
        (q, k, v), n = self.tensors, self.length + t + 1
        mask = torch.ones(self.shape.batch, 1, n, dtype=torch.bool)
        return Step(self._rows(q[:, :, :, n - 1]), k[:, :, :n], v[:, :, :n], mask, self.scores)

    def _rows(self, x: Tensor) -> Tensor:
        return x.expand(self.shape.batch, *x.shape[1:]).contiguous()
