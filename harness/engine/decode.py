"""Decoding: the linear layers run once for all methods' rows, attention is each method's own."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Step
from harness.engine.bridge import LayerCall
from harness.engine.cache import LayerCache, PromptCache, Tail
from harness.methods import Method
from harness.methods.dense import Dense

NEVER = 1 << 40


@dataclass
class Branch:
    """One method decoding from the shared prompts.

    states and tails by layer; `changed_at` [B] is the decode step at which each row's attention output first differed
    from dense, NEVER until it does; `seconds` is the time spent in its attention.
    """

    method: Method[Any]
    cache: PromptCache
    changed_at: Tensor
    states: dict[int, Any] = field(default_factory=dict)
    tails: dict[int, Tail] = field(default_factory=dict)
    seconds: float = 0.0

    @classmethod
    def of(cls, method: Method[Any], cache: PromptCache) -> Branch:
        """A branch that has decoded nothing."""
        return cls(method, cache, torch.full((len(cache.lengths),), NEVER, device=cache.live.device))

    def attend(self, call: LayerCall, done: int) -> Tensor:
        """Output [B, Hq, T, D] of the T tokens that follow `done` decoded ones."""
        begin = time.perf_counter()
        cache = self.cache.layers[call.layer]
        self._rewind(call, cache, done)
        if call.layer not in self.states:
            self.states[call.layer] = self.method.start(self._prefix(call.layer, cache))
        outputs = [self._step(call, cache, done, t) for t in range(call.q.shape[2])]
        self.seconds += time.perf_counter() - begin
        return torch.stack(outputs, 2)

    def _rewind(self, call: LayerCall, cache: LayerCache, done: int) -> None:
        """Put this branch's tokens, old and new, behind the shared prompt."""
        if call.layer not in self.tails:
            self.tails[call.layer] = self.cache.tail(call.layer)
        tail, start, new = self.tails[call.layer], self.cache.prompt, call.q.shape[2]
        tail.k[:, :, done : done + new] = call.k
        tail.v[:, :, done : done + new] = call.v
        cache.k[:, :, start : start + done + new] = tail.k[:, :, : done + new]
        cache.v[:, :, start : start + done + new] = tail.v[:, :, : done + new]

    def _prefix(self, layer: int, cache: LayerCache) -> LayerPrefix:
        s = self.cache.prompt
        live = self.cache.live[..., :s]
        return LayerPrefix(cache.k[:, :, :s], cache.v[:, :, :s], live, self.cache.room, layer, cache.statistics)

    def _step(self, call: LayerCall, cache: LayerCache, done: int, t: int) -> Tensor:
        b, hq, _, d = call.q.shape
        h = call.k.shape[1]
        n = self.cache.prompt + done + t + 1
        live = self.cache.live[..., :n]
        if call.mask is not None:
            live = live & call.mask[0, :, t, :n]
        q = call.q[:, :, t].view(b, h, hq // h, d)
        step = Step(q, cache.k[:, :, :n], cache.v[:, :, :n], live, call.scores, sliding=call.mask is not None)
        output = self.method.attend(step, self.states[call.layer])
        if not self.method.lossless and call.layer in self.cache.outermost:
            self._compare(step, output, done + t)
        return output.reshape(b, hq, d)

    def _compare(self, step: Step, output: Tensor, at: int) -> None:
        """Note the rows in which the output of decode step `at` differs from dense attention by more than rounding.

        Asked of the first and the last layer only: where windows alternate, one of the two sees everything.
        """
        if self.changed_at.is_cpu and bool((self.changed_at < NEVER).all()):  # elsewhere asking waits for the device
            return
        dense = Dense().attend(step, None)
        rounding = 16 * torch.finfo(output.dtype).eps * dense.abs().amax((1, 2, 3))
        differs = (output - dense).abs().amax((1, 2, 3)) > rounding
        self.changed_at = torch.where(differs & (self.changed_at == NEVER), at, self.changed_at)


@dataclass
class Decode:
    """A phase in which row block i of the batch belongs to branch i; `done` tokens are decoded already."""

    branches: list[Branch]
    done: int = 0

    @property
    def cached(self) -> int:
        """Columns before this pass."""
        return self.branches[0].cache.prompt + self.done

    def attend(self, call: LayerCall) -> Tensor:
        """Every branch attends with its own rows."""
        b = len(self.branches[0].cache.lengths)
        output = torch.empty_like(call.q)
        for i, branch in enumerate(self.branches):
            rows = slice(i * b, (i + 1) * b)
            own = LayerCall(call.layer, call.q[rows], call.k[rows], call.v[rows], call.mask, call.scores)
            output[rows] = branch.attend(own, self.done)
        return output
