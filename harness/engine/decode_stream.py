"""One method decoding from prompts that all methods share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.engine.cache import DecodedKV, LayerCache, PromptCache
from harness.engine.clock import Clock, clock_of
from harness.engine.model import LayerCall
from harness.kernels import KernelBinding, extend, find_binding
from harness.methods import Method
from harness.methods.controls.dense import Dense

NEVER = 1 << 40
ROUNDING = 1e-5
"""Largest difference between two ways to compute the same attention in float32, relative to the largest output.

Seen on SmolLM2: 2.3e-6 in any layer; what methods leave out makes 1e-5 at the least and 0.2 in the median layer.
"""


@dataclass(frozen=True)
class Place:
    """Where T new tokens go that follow `done` decoded ones.

    On the device: `column` [T] int64, their places among the decoded ones; `kv_lengths` [T, B] int32, the columns of
    the cache that are filled once each has come.
    """

    done: int
    column: Tensor
    kv_lengths: Tensor


@dataclass
class DecodeStream:
    """Holds a method's decoded tokens and its state by layer; its `kernel`, if it has one, computes its attention.

    `dense` is dense attention computed in the same way. `changed_at` [B] is the first decode step at which the output
    of any layer differed from it, NEVER for a row in which none did yet. `compare_before` is the largest of them as far
    as the host knows: outputs of that step and of later ones need no comparison.
    """

    method: Method[Any]
    kernel: KernelBinding | None
    dense: Method[Any] | KernelBinding
    cache: PromptCache
    clock: Clock
    changed_at: Tensor
    compare_before: int
    states: dict[int, Any] = field(default_factory=dict)
    dense_states: dict[int, Any] = field(default_factory=dict)
    decoded: dict[int, DecodedKV] = field(default_factory=dict)

    @classmethod
    def of(cls, method: Method[Any], cache: PromptCache, kernel: KernelBinding | None = None) -> DecodeStream:
        """Make a stream that has decoded nothing."""
        device = cache.mask.device
        dense = (find_binding(Dense()) if kernel else None) or Dense()
        never = torch.full((len(cache.lengths),), NEVER, device=device)
        return cls(
            method, kernel, dense, cache, clock_of(device), never, compare_before=0 if method.is_dense else NEVER
        )

    @property
    def _attention(self) -> Method[Any] | KernelBinding:
        """Return what computes this stream's attention."""
        return self.kernel or self.method

    def compares(self, done: int) -> bool:
        """Return True if some row may not have changed before decode step `done`."""
        return done < self.compare_before

    def read_device(self) -> None:
        """Read the clock and the steps at which rows changed. Waits for the device."""
        self.clock.read()
        if self.compare_before == NEVER:
            self._read_changes()

    def attend(self, call: LayerCall, place: Place) -> Tensor:
        """Compute the output [B, Hq, T, D] of the T new tokens."""
        with self.clock.running():
            cache = self.cache.layers[call.layer]
            self._rewind(call, cache, place)
            if call.layer not in self.states:
                self.states[call.layer] = self._attention.start(self._prefix(call.layer, cache))
            steps = [self._step(call, cache, place, t) for t in range(call.q.shape[2])]
            outputs = [self._attention.attend(step, self.states[call.layer]) for step in steps]
        self._compare(call, place, steps, outputs)
        return torch.stack([output.flatten(1, 2) for output in outputs], 2)

    def _rewind(self, call: LayerCall, cache: LayerCache, place: Place) -> None:
        """Put this branch's tokens, old and new, behind the shared prompt."""
        if call.layer not in self.decoded:
            self.decoded[call.layer] = self.cache.decoded_kv(call.layer)
        decoded_kv, start = self.decoded[call.layer], self.cache.prompt
        if self.kernel:
            extend((call.k, call.v), (decoded_kv.k, decoded_kv.v), (cache.k, cache.v), place.column)
            return
        filled = place.done + call.q.shape[2]
        decoded_kv.k[:, :, place.done : filled] = call.k
        decoded_kv.v[:, :, place.done : filled] = call.v
        cache.k[:, :, start : start + filled] = decoded_kv.k[:, :, :filled]
        cache.v[:, :, start : start + filled] = decoded_kv.v[:, :, :filled]

    def _prefix(self, layer: int, cache: LayerCache) -> LayerPrefix:
        s = self.cache.prompt
        mask = self.cache.mask[..., :s]
        return LayerPrefix(cache.k[:, :, :s], cache.v[:, :, :s], mask, self.cache.decode_steps, layer, cache.statistics)

    def _step(self, call: LayerCall, cache: LayerCache, place: Place, t: int) -> Step:
        """Describe the step of one new token."""
        b, hq, _, d = call.q.shape
        h = call.k.shape[1]
        q = call.q[:, :, t].view(b, h, hq // h, d)
        n = self.cache.prompt + place.done + t + 1
        if call.window_mask is not None:
            mask = self.cache.mask[..., :n] & call.window_mask[0, :, t, :n]
            return Step(q, cache.k[:, :, :n], cache.v[:, :, :n], mask, call.scores, sliding=True)
        if self.kernel:
            return Step(q, cache.k, cache.v, self.cache.mask, call.scores, kv_lengths=place.kv_lengths[t])
        return Step(q, cache.k[:, :, :n], cache.v[:, :, :n], self.cache.mask[..., :n], call.scores)

    def _compare(self, call: LayerCall, place: Place, steps: list[Step], outputs: list[Tensor]) -> None:
        """Note the rows in which an output differs from dense attention by more than rounding.

        The host asks after each layer which rows are left, unless it launches one token on a GPU: it would wait for
        what it could launch meanwhile, so that it asks after the pass.
        """
        for t, (step, output) in enumerate(zip(steps, outputs, strict=True)):
            if self.compares(place.done + t):
                changed = torch.where(self._differs(call.layer, step, output), place.column[t], NEVER)
                torch.minimum(self.changed_at, changed, out=self.changed_at)
        if self.compares(place.done) and (len(steps) > 1 or call.q.device.type == "cpu"):
            self._read_changes()

    def _differs(self, layer: int, step: Step, output: Tensor) -> Tensor:
        """Tell rows whose output [B, H, G, D] is not that of dense attention: [B] bool."""
        if layer not in self.dense_states:
            self.dense_states[layer] = self.dense.start(self._prefix(layer, self.cache.layers[layer]))
        dense = self.dense.attend(step, self.dense_states[layer])
        relative = max(ROUNDING, 16 * torch.finfo(output.dtype).eps)
        return (output - dense).abs().amax((1, 2, 3)) > relative * dense.abs().amax((1, 2, 3))

    def _read_changes(self) -> None:
        self.compare_before = int(self.changed_at.max())
