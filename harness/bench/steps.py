"""Makes decode steps of a whole model over caches that are full from the start, without a prefill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerShape
from harness.bench.cases import Buffers, prompt_of
from harness.bench.check import Comparison, Definition
from harness.bench.decoding import Attend, Decoding, filled, grouped, no_attention
from harness.bench.timing import Call, Timing, time_calls
from harness.engine.model import LayerCall
from harness.hf.bridge import Bridge
from harness.kernels import KVCache
from harness.methods import Method


@dataclass(frozen=True)
class Steps:
    """Makes decode steps of a model at one batch size and length. Caches are made when the first step is."""

    model: Any
    layers: tuple[LayerShape, ...]
    batch: int
    length: int

    @property
    def dtype(self) -> torch.dtype:
        """Return the element type of the caches."""
        dtype: torch.dtype = self._like.dtype
        return dtype

    def calls(self, attention: Attend) -> list[Call]:
        """Make one step of the whole model, logits included, ready to be timed or captured in a CUDA graph."""
        _ = self.rest  # measured once, before any other step
        self._mode.attention = attention
        return [self._step()]

    def check(self, method: Method[Any], decoded: int, tolerance: float) -> Comparison:
        """Run the step made last, and compare a layer of each shape with the method's definition.

        `decoded` is how many steps the attention takes after its prompt (bench.cases).
        """
        attention, found = self._mode.attention, dict[tuple[int, int], Comparison]()

        def attend(call: LayerCall, cache: KVCache) -> Tensor:
            got, shape = attention(call, cache), (call.k.shape[1], call.k.shape[3])
            if shape not in found:
                cache.longest = self.length
                step = Buffers(grouped(call), cache).step_with(call.scores)
                prompt = prompt_of(method, step, decoded, call.layer)
                found[shape] = Definition.of(method, step, prompt).compare(got, tolerance)
            return got

        self._mode.attention = attend
        try:
            self._step()()
        finally:
            self._mode.attention = attention
        return Comparison(max(c.error for c in found.values()), min(c.compared for c in found.values()))

    @cached_property
    def rest(self) -> Timing:
        """Time a step whose attention is left out."""
        self._mode.attention = no_attention
        return time_calls([self._step()], self._like.device)

    @cached_property
    def _like(self) -> Any:
        return self.model.get_input_embeddings().weight

    @cached_property
    def _mode(self) -> Decoding:
        return filled(self.layers, self.batch, self.length, transposed=self._like.is_cuda, like=self._like)

    @cached_property
    def _bridge(self) -> Bridge:
        return Bridge(torch.compile(self.model) if self._like.is_cuda else self.model)

    def _step(self) -> Callable[[], Tensor]:
        mode, bridge = self._mode, self._bridge
        tokens = torch.zeros(self.batch, 1, dtype=torch.long, device=bridge.device)
        positions = torch.full((self.batch, 1), mode.cached, dtype=torch.long, device=bridge.device)

        def step() -> Tensor:
            mode.rewind()
            return bridge.forward(tokens, positions, mode)

        return step
