"""Runs the forward passes of a decode; on a GPU a step is recorded once as a CUDA graph, then replayed.

A replay launches everything by one call: what Python does between the launches of a step takes longer than the GPU.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from harness.engine.decode import Decode, DecodeStream
from harness.engine.model import Model
from harness.errors import first_line

Step = Callable[[Tensor, Tensor], Tensor]
"""Logits [R, 1, V] of tokens [R, 1] that take the place column [1] among the decoded ones."""

MIN_STEPS = 3
"""Recording a step takes as long as launching it: with fewer steps to come it does not pay."""


class Launcher:
    """Feeds tokens to all decode streams in forward passes of the model."""

    def __init__(self, model: Model, streams: Sequence[DecodeStream]) -> None:
        self._model = model
        self._streams = streams
        self._cache = streams[0].cache
        # What a measured method moves is counted as its steps are launched, which a replay does not do.
        self._repeatable = model.replayable and all(stream.kernel and not stream.measured for stream in streams)
        self._replay: Replay | None = None
        self._compared = 0  # streams that the recorded step compares with dense attention

    @property
    def replayable(self) -> bool:
        """Return True if one recorded step can serve all others, as far as is known."""
        return self._repeatable

    def forward(self, tokens: Tensor, done: int) -> Tensor:
        """Return logits [R, T, V] after feeding tokens [R, T], the done-th and following of every row.

        The first step is launched as it is, which starts every layer and compiles its kernels; the second is recorded.
        """
        columns = torch.arange(done, done + tokens.shape[1], device=tokens.device)
        launch = partial(self._launch, done)
        left = self._cache.decode_steps - done
        if done and left >= MIN_STEPS and self._repeatable and self._is_outdated(done):
            self._record(launch, tokens, columns, done)
        return (self._replay or launch)(tokens, columns)

    def _launch(self, done: int, tokens: Tensor, columns: Tensor) -> Tensor:
        mode = Decode(self._streams, done, columns)
        positions = self._cache.positions(columns).repeat(len(self._streams), 1)
        logits = self._model.forward(tokens, positions, mode)
        self._repeatable &= not mode.narrowed
        return logits

    def _is_outdated(self, done: int) -> bool:
        """Return True if nothing is recorded, or if half of the streams compared in it need no comparison any more."""
        open_now = self._count_open(done)
        return self._replay is None or (open_now < self._compared and 2 * open_now <= self._compared)

    def _record(self, launch: Step, tokens: Tensor, columns: Tensor, done: int) -> None:
        self._replay = None  # frees its memory before the next recording takes as much
        self._forget_recorded_runs()
        self._replay, self._compared = record(launch, tokens, columns), self._count_open(done)
        if self._replay is None:
            self._repeatable = False
            self._forget_recorded_runs()

    def _forget_recorded_runs(self) -> None:
        for stream in self._streams:
            stream.clock.forget()

    def _count_open(self, done: int) -> int:
        return sum(stream.activity.is_open(done) for stream in self._streams)


class Replay:
    """Replays a step whose launches do not depend on how much is decoded. The next step overwrites its logits."""

    def __init__(self, step: Step, tokens: Tensor, column: Tensor) -> None:
        self._tokens, self._column = tokens.clone(), column.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = step(self._tokens, self._column)

    def __call__(self, tokens: Tensor, column: Tensor) -> Tensor:
        """Run the step as recorded, on other tokens in another column."""
        self._tokens.copy_(tokens)
        self._column.copy_(column)
        self._graph.replay()
        return self._logits


def record(step: Step, tokens: Tensor, column: Tensor) -> Replay | None:
    """Record a step; None, with a warning, where that fails: launched as it is, its numbers are the same."""
    generator = torch.cuda.default_generators[tokens.device.index]
    before = generator.clone_state()
    try:
        return Replay(step, tokens, column)
    except RuntimeError as error:
        # A recording that failed leaves the generator waiting for its end, which never comes.
        generator.graphsafe_set_state(before)
        why = f"decoding without a CUDA graph, which is slower: {first_line(error)}"
        warnings.warn(why, RuntimeWarning, stacklevel=2)
        return None
