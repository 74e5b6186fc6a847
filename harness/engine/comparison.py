"""Feeds all methods the same tokens, dense's greedy ones, and compares each step's logits with dense's in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from harness.engine.cache import PromptCache
from harness.engine.decode import DecodeStream
from harness.engine.divergence import Differences, Divergence, differences
from harness.engine.finite import check_finite
from harness.engine.launch import Launcher
from harness.engine.model import Model
from harness.engine.prefill import Prefilled
from harness.engine.prompt import Output, Prompt, padded
from harness.engine.session import LOGIT_BYTES, Session
from harness.methods import Method
from harness.methods.controls.dense import Dense

Weights = Callable[[], AbstractContextManager[None]]
"""Lends the model the weights that a group of methods runs with, for the length of a pass."""


WORKING = 6
"""Tensors as large as one stream's logits, in float32, that live while it is compared with dense."""


class Comparison:
    """Compares the methods of a batch with dense attention, group by group; the first shares the dense prefill.

    `stream` makes a decode stream of a method on a cache.
    """

    def __init__(
        self, model: Model, stream: Callable[[Method[Any], PromptCache], DecodeStream], batch: Sequence[Prompt]
    ) -> None:
        self._model = model
        self._stream = stream
        self._batch = batch
        self._reference: _Reference | None = None

    def note(
        self,
        filled: Prefilled,
        methods: Sequence[Method[Any]],
        outputs: Sequence[Sequence[Output]],
        weights: Weights = nullcontext,
    ) -> None:
        """Note the divergence of each output of a group that has decoded from a filled cache.

        Dense must be among the methods of the first group. Raises NotFiniteError.
        """
        if self._reference is None:
            dense = next(own for method, own in zip(methods, outputs, strict=True) if method.is_dense)
            self._reference = _Reference(filled.cache, self._greedy(filled, dense), filled.logits.shape[1])
        reference, others = self._reference, [method for method in methods if not method.is_dense]
        if filled.cache is reference.cache:
            lanes = [self._lane([Dense(), *others], filled.cache)]
        else:
            lanes = [self._lane([Dense()], reference.cache), self._lane(others, filled.cache, weights)]
        compared = dict(zip([Dense(), *others], compare(lanes, reference.tokens, reference.vocabulary), strict=True))
        for method, of_method in zip(methods, outputs, strict=True):
            for output, found in zip(of_method, compared[Dense() if method.is_dense else method], strict=True):
                output.divergence = found

    def _greedy(self, filled: Prefilled, outputs: Sequence[Output]) -> list[list[int]]:
        """Return dense's greedy tokens: its outputs, unless those were drawn, ruled otherwise, or forced."""
        if all(prompt.forced is None and prompt.rule is None for prompt in self._batch):
            return [output.tokens for output in outputs]
        greedy = [Prompt(prompt.tokens, prompt.steps, finished=prompt.finished) for prompt in self._batch]
        session = Session(self._model, [self._stream(Dense(), filled.cache).unwatched()], greedy)
        session.generate(filled.logits)
        return [output.tokens for output in session.outputs[0]]

    def _lane(self, methods: Sequence[Method[Any]], cache: PromptCache, weights: Weights = nullcontext) -> Lane:
        return Lane(self._model, [self._stream(method, cache).unwatched() for method in methods], weights)


@dataclass(frozen=True)
class _Reference:
    """Holds what dense attends to, its greedy tokens by prompt, and how many tokens the model knows."""

    cache: PromptCache
    tokens: Sequence[Sequence[int]]
    vocabulary: int


class Lane:
    """Decodes streams that share a cache and weights."""

    def __init__(self, model: Model, streams: Sequence[DecodeStream], weights: Weights) -> None:
        self._launcher = Launcher(model, streams)
        self._weights = weights
        self.streams = len(streams)
        self.device = model.device

    @property
    def replayable(self) -> bool:
        """Return True if one recorded step can serve all others, as far as is known."""
        return self._launcher.replayable

    def forward(self, tokens: Tensor, done: int) -> Tensor:
        """Return the logits [streams, B, T, V] after feeding every stream tokens [B, T], the done-th and following."""
        with self._weights():
            logits = self._launcher.forward(tokens.repeat(self.streams, 1), done)
        return logits.reshape(self.streams, len(tokens), *logits.shape[1:])


@torch.inference_mode()
def compare(lanes: Sequence[Lane], outputs: Sequence[Sequence[int]], vocabulary: int) -> list[list[Divergence | None]]:
    """Feed outputs of dense to all lanes in lock step; return divergences by stream, lane after lane, then by row.

    The first stream of the first lane is dense. At a time the logits of all lanes and what comparing takes beside them
    are no more than LOGIT_BYTES, or those of one step, which is what can be replayed. Raises NotFiniteError.
    """
    steps = [max(0, len(output) - 1) for output in outputs]
    found: list[list[Differences]] = [[] for lane in lanes for _ in range(lane.streams)]
    tokens = padded(outputs, lanes[0].device)
    a_step = 4 * vocabulary * len(outputs) * (len(found) + WORKING)
    for begin, end in _chunks(lanes, max(steps), LOGIT_BYTES // a_step):
        for of_stream, compared in zip(found, _pass(lanes, tokens[:, begin:end], begin), strict=True):
            of_stream.append(compared)
    return [_sum_up(of_stream, steps) for of_stream in found]


def _pass(lanes: Sequence[Lane], tokens: Tensor, done: int) -> list[Differences]:
    """Feed tokens [B, T] to all lanes and compare every stream; the logits are gone at the end."""
    logits = [lane.forward(tokens, done) for lane in lanes]
    return [differences(logits[0][0], own) for of_lane in logits for own in of_lane]


def _chunks(lanes: Sequence[Lane], steps: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut the steps into passes of `most` at the most; it is known after the first pass what can be replayed."""
    begin = 0
    while begin < steps:
        taken = 1 if any(lane.replayable for lane in lanes) else max(1, most)
        yield begin, min(begin + taken, steps)
        begin += taken


def _sum_up(of_stream: Sequence[Differences], steps: Sequence[int]) -> list[Divergence | None]:
    """Sum up the steps of each row, of which the later ones may be padding."""
    if not of_stream:
        return [None] * len(steps)
    kl, agrees, lost = (torch.cat(parts, 1).tolist() for parts in zip(*of_stream, strict=True))
    for row, n in enumerate(steps):
        check_finite(kl[row][:n] + lost[row][:n])
    return [Divergence.of(kl[row][:n], agrees[row][:n], lost[row][:n]) for row, n in enumerate(steps)]
