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
    """A method's tokens, states and outputs, computed by its `kernel` if it has one and else by the method itself.

    `dense` is dense attention computed in the same way.
    states and decoded by layer; `changed_at` [B] is the decode step at which each row's attention output first differed
    from dense, NEVER until it does; `watched` while that is so for some row.
    """

    method: Method[Any]
    kernel: KernelBinding | None
    dense: Method[Any] | KernelBinding
    cache: PromptCache
    clock: Clock
    changed_at: Tensor
    watched: bool
    states: dict[int, Any] = field(default_factory=dict)
    decoded: dict[int, DecodedKV] = field(default_factory=dict)

    @classmethod
    def of(cls, method: Method[Any], cache: PromptCache, kernel: KernelBinding | None = None) -> DecodeStream:
        """A branch that has decoded nothing."""
        device = cache.mask.device
        dense = (find_binding(Dense()) if kernel else None) or Dense()
        never = torch.full((len(cache.lengths),), NEVER, device=device)
        return cls(method, kernel, dense, cache, clock_of(device), never, watched=not method.is_dense)

    @property
    def _attention(self) -> Method[Any] | KernelBinding:
        """Return what computes this stream's attention."""
        return self.kernel or self.method

    def look(self) -> None:
        """After a step: whether rows are left whose output never differed. Waits for the device."""
        self.clock.read()
        self.watched = self.watched and bool((self.changed_at == NEVER).any())

    def attend(self, call: LayerCall, place: Place) -> Tensor:
        """Output [B, Hq, T, D] of the T new tokens."""
        with self.clock.running():
            cache = self.cache.layers[call.layer]
            self._rewind(call, cache, place)
            if call.layer not in self.states:
                self.states[call.layer] = self._attention.start(self._prefix(call.layer, cache))
            outputs = [self._attend(call, cache, place, t) for t in range(call.q.shape[2])]
            return torch.stack(outputs, 2)

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

    def _attend(self, call: LayerCall, cache: LayerCache, place: Place, t: int) -> Tensor:
        """Output [B, Hq, D] of one new token."""
        b, hq, _, d = call.q.shape
        h = call.k.shape[1]
        q = call.q[:, :, t].view(b, h, hq // h, d)
        step = self._step(q, call, cache, place, t)
        output = self._attention.attend(step, self.states[call.layer])
        if self.watched and call.layer in self.cache.outermost:
            self._compare(call.layer, step, output, place.column[t])
        return output.reshape(b, hq, d)

    def _step(self, q: Tensor, call: LayerCall, cache: LayerCache, place: Place, t: int) -> Step:
        n = self.cache.prompt + place.done + t + 1
        if call.window_mask is not None:
            mask = self.cache.mask[..., :n] & call.window_mask[0, :, t, :n]
            return Step(q, cache.k[:, :, :n], cache.v[:, :, :n], mask, call.scores, sliding=True)
        if self.kernel:
            return Step(q, cache.k, cache.v, self.cache.mask, call.scores, kv_lengths=place.kv_lengths[t])
        return Step(q, cache.k[:, :, :n], cache.v[:, :, :n], self.cache.mask[..., :n], call.scores)

    def _compare(self, layer: int, step: Step, output: Tensor, at: Tensor) -> None:
        """Note the rows in which the output of decode step `at` differs from dense attention by more than rounding.

        Asked of the first and the last layer only: where windows alternate, one of the two sees everything.
        """
        dense = self.dense.attend(step, self.dense.start(self._prefix(layer, self.cache.layers[layer])))
        rounding = 16 * torch.finfo(output.dtype).eps * dense.abs().amax((1, 2, 3))
        differs = (output - dense).abs().amax((1, 2, 3)) > rounding
        self.changed_at.copy_(torch.where(differs & (self.changed_at == NEVER), at, self.changed_at))
