"""A decode step recorded once as a CUDA graph and then replayed: nothing runs between its launches, Python least."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor

Step = Callable[[Tensor, Tensor], Tensor]
"""Logits [R, 1, V] of tokens [R, 1] that take the place column [1] among the decoded ones."""

WORTH = 2
"""Recording a step takes as long as launching it: with fewer steps to come it does not pay."""


class Replay:
    """A step whose launches do not depend on how much is decoded. Its logits are overwritten by the next step."""

    def __init__(self, step: Step, tokens: Tensor, column: Tensor) -> None:
        self._tokens, self._column = tokens.clone(), column.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits = step(self._tokens, self._column)

    def __call__(self, tokens: Tensor, column: Tensor) -> Tensor:
        """The step, as recorded."""
        self._tokens.copy_(tokens)
        self._column.copy_(column)
        self._graph.replay()
        return self._logits


def recorded(step: Step, tokens: Tensor, column: Tensor) -> Replay | None:
    """The step as a Replay; None where it cannot be recorded, with a warning: its numbers would be the same."""
    generator = torch.cuda.default_generators[tokens.device.index]
    state = generator.clone_state()
    try:
        return Replay(step, tokens, column)
    except RuntimeError as error:
        generator.graphsafe_set_state(state)  # the one in use waits for a recording that will not end
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        warnings.warn(f"decoding without a CUDA graph, which is slower: {reason}", RuntimeWarning, stacklevel=2)
        return None
