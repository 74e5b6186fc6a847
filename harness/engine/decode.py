"""Decodes under several methods side by side: linear layers run once for all rows, attention is each method's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from harness.attention import LayerPrefix, Projections, Step
from harness.attention.compressor import Compress
from harness.engine.activity import Activity
from harness.engine.cache import DecodedKV, LayerCache, NewColumns, PromptCache
from harness.engine.device import Clock, HostClock, make_clock
from harness.engine.measured import Measured
from harness.engine.model import LayerCall
from harness.kernels import KernelBinding, extend, find_binding
from harness.methods import Method
from harness.methods.controls.dense import Dense


class Decode:
    """Hands block i of a pass's rows to decode stream i; `done` tokens are decoded already.

    `columns` [T] int64, on the device, numbers the new tokens among the decoded ones. Launching a pass of one token
    again with another number in `columns`, as a CUDA graph does, decodes that token; unless the pass is `narrowed`: a
    layer saw less than all that is causal, and those launches depend on how much is decoded.
    """

    wants_inputs = False

    def __init__(self, streams: Sequence[DecodeStream], done: int, columns: Tensor) -> None:
        cache = streams[0].cache
        self.cached = cache.prompt + done
        self.final = cache.final
        self.narrowed = False
        self._streams = streams
        self._rows = len(cache.lengths)
        new = cache.new_columns(done, columns)
        self._new = {new.columns.device: new}

    def attend(self, call: LayerCall) -> Tensor:
        """Compute the output [R, Hq, T, D] of one layer, stream by stream."""
        self.narrowed |= call.window_mask is not None
        output = torch.empty_like(call.q)
        if call.q.device not in self._new:
            self._new[call.q.device] = next(iter(self._new.values())).to(call.q.device)
        new = self._new[call.q.device]
        for i, stream in enumerate(self._streams):
            rows = slice(i * self._rows, (i + 1) * self._rows)
            own = LayerCall(call.layer, call.q[rows], call.k[rows], call.v[rows], call.window_mask, call.scores)
            output[rows] = stream.attend(own, new)
        return output


@dataclass
class DecodeStream:
    """Decodes a batch under one method, from the prompts that all methods share.

    Its `kernel`, if there is one, computes the method's attention, and `dense` that of the layers which the method
    leaves as they are. By layer it holds the method's state, what the method learnt beforehand and made of weights, and
    the tokens that it decoded; `shared` is for all layers. `clock` times its attention, `measured` sums what it says
    that it moved.
    """

    method: Method[Any]
    kernel: KernelBinding | None
    dense: Method[Any] | KernelBinding
    cache: PromptCache
    activity: Activity
    clock: Clock
    measured: Measured | None = None
    calibration: Sequence[Any] = ()
    weights: Sequence[Projections] = ()
    compress: Sequence[Compress] = ()
    shared: dict[Any, Any] = field(default_factory=dict)
    states: dict[int, Any] = field(default_factory=dict)
    decoded: dict[int, DecodedKV] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        method: Method[Any],
        cache: PromptCache,
        kernel: KernelBinding | None = None,
        calibration: Sequence[Any] = (),
        weights: Sequence[Projections] = (),
        compress: Sequence[Compress] = (),
    ) -> DecodeStream:
        """Make a stream that has decoded nothing."""
        device = cache.device
        dense = (find_binding(Dense()) if kernel else None) or Dense()
        activity = Activity(dense, len(cache.lengths), device)
        if method.is_dense:
            activity.close()
        measured = Measured(len(cache.lengths), cache.decode_steps, device) if method.measured else None
        return cls(method, kernel, dense, cache, activity, make_clock(device), measured, calibration, weights, compress)

    def unwatched(self) -> DecodeStream:
        """Return the stream for a pass whose logits alone are wanted: not compared, measured or timed by a GPU."""
        self.activity.close()
        return replace(self, measured=None, clock=HostClock())

    def attend(self, call: LayerCall, new: NewColumns) -> Tensor:
        """Compute the output [B, Hq, T, D] of the T new tokens in one layer."""
        acts = self.method.exemption.acts_in(call.layer, call.window_mask is not None)
        attention = (self.kernel or self.method) if acts else self.dense
        layer = self.cache.layers[call.layer]
        with self.clock.running():
            self._write_tokens(call, layer, new)
            if call.layer not in self.states:
                self.states[call.layer] = attention.start(self._prefix(call))
            steps = [self._step(call, layer, new, t) for t in range(call.q.shape[2])]
            outputs = [attention.attend(step, self.states[call.layer]) for step in steps]
        if self.measured:
            self.measured.note(new.done, steps, self._metered(call.layer, len(steps)) if acts else None)
        if acts and self.activity.is_open(new.done):
            self.activity.compare(self._prefix(call), new, steps, outputs)
        return torch.stack([output.flatten(1, 2) for output in outputs], 2)

    def _metered(self, layer: int, count: int) -> list[Tensor]:
        """Return the bits [B] of the latest steps of a layer. The method must have noted one entry per step."""
        meter = (self.kernel or self.method).meter(self.states[layer])
        assert meter is not None, f"{type(self.method).__name__} is measured and keeps no meter"
        return meter.steps[-count:]

    def _write_tokens(self, call: LayerCall, layer: LayerCache, new: NewColumns) -> None:
        """Put this stream's tokens, old and new, behind the prompt, where those of another stream may be."""
        if call.layer not in self.decoded:
            self.decoded[call.layer] = self.cache.decoded_kv(call.layer)
        decoded_kv, start = self.decoded[call.layer], self.cache.prompt
        if self.kernel:
            extend((call.k, call.v), (decoded_kv.k, decoded_kv.v), (layer.k, layer.v), new.columns)
            return
        filled = new.done + call.q.shape[2]
        decoded_kv.k[:, :, new.done : filled] = call.k
        decoded_kv.v[:, :, new.done : filled] = call.v
        layer.k[:, :, start : start + filled] = decoded_kv.k[:, :, :filled]
        layer.v[:, :, start : start + filled] = decoded_kv.v[:, :, :filled]

    def _prefix(self, call: LayerCall) -> LayerPrefix:
        layer, s = call.layer, self.cache.prompt
        cache, mask = self.cache.layers[layer], self.cache.live(call.k.device).mask[..., :s]
        k, v = cache.k[:, :, :s], cache.v[:, :, :s]
        return LayerPrefix(
            k,
            v,
            mask,
            self.cache.decode_steps,
            layer,
            len(self.cache.layers),
            statistics=cache.statistics,
            rope=self.cache.rope(layer, call.k.device),
            calibration=self.calibration[layer] if self.calibration else None,
            shared=self.shared,
            weights=self.weights[layer] if self.weights else None,
            common=cache.common,
            compress=self.compress[layer] if self.compress else None,
            seen=None if call.window_mask is None else mask & call.window_mask[0, :, 0, :s],
        )

    def _step(self, call: LayerCall, layer: LayerCache, new: NewColumns, t: int) -> Step:
        """Describe the decode step of new token t to the method or, with free columns behind it, to the kernel."""
        b, hq, _, d = call.q.shape
        h = call.k.shape[1]
        q = call.q[:, :, t].view(b, h, hq // h, d)
        n, mask = self.cache.prompt + new.done + t + 1, self.cache.live(call.k.device).mask
        if call.window_mask is not None:
            seen = mask[..., :n] & call.window_mask[0, :, t, :n]
            return Step(q, layer.k[:, :, :n], layer.v[:, :, :n], seen, call.scores, sliding=True)
        if self.kernel:
            return Step(q, layer.k, layer.v, mask, call.scores, kv_lengths=new.kv_lengths[t])
        return Step(q, layer.k[:, :, :n], layer.v[:, :, :n], mask[..., :n], call.scores)
