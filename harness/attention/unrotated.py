"""Keeps the keys of a layer without their rotation, and attends to chosen tokens as if there were no others."""

from __future__ import annotations

import torch
from torch import Tensor

from harness.attention.index.grown import Grown
from harness.attention.moved import attend_moved
from harness.attention.rope import Rope
from harness.attention.step import LayerPrefix, Step


class Unrotated:
    """Holds a layer's keys turned back to position 0: the prompt's at the start, one more row in every step.

    Positions count from each row's first live token. What is turned back is still multiplied by a rope's `scaling`, as
    queries and keys at any position are, so that logits of all kinds belong in one softmax.
    """

    def __init__(self, prefix: LayerPrefix) -> None:
        self.rope = rope_of(prefix)
        self.first = prefix.first[:, None, None]
        columns = torch.arange(prefix.k.shape[2], device=prefix.k.device)
        self._keys = Grown(self.rope.turn(prefix.k, self.first - columns), prefix.decode_steps)

    def append(self, step: Step) -> Tensor:
        """Add the step's newest token, once per step, and return the keys of all, [B, H, N, D]."""
        return self._keys.append(self.rope.turn(step.k[:, :, -1], (self.first - (step.length - 1))[:, :, 0]))

    @property
    def rows(self) -> Tensor:
        """Return the keys of all tokens so far, [B, H, N, D]."""
        return self._keys.rows

    def query(self, step: Step, position: Tensor | int) -> Tensor:
        """Return the step's q [B, H, G, D] at another position, one for all rows or [B, 1, 1]."""
        return self.rope.turn(step.q, position - (step.length - 1 - self.first))


def attend_in_a_row(step: Step, rope: Rope, index: Tensor, live: Tensor) -> Tensor:
    """Attend to the tokens at index [B, 1, K], in order, as if the query came right behind them and all were adjacent.

    All KV heads attend to the same tokens, those that are `live` [B, 1, K] in front. The query stays where it is, and
    keys move up to it by as many tokens as are missing between, so that a row without gaps is dense attention to the
    bit. Returns the output [B, H, G, D].
    """
    apart = live.sum(-1, keepdim=True) - 1 - torch.arange(index.shape[-1], device=index.device)
    return attend_moved(step, rope, index, step.length - 1 - index - apart, live)[0]


def rope_of(prefix: LayerPrefix) -> Rope:
    """Return the layer's rotary embedding, on the device of its keys; every method that needs one is given it."""
    assert prefix.rope is not None
    return prefix.rope.to(prefix.k.device)


def paired_modulo(q: Tensor) -> Tensor:
    """Return q [B, H, G, D] as released code mixes it up: query head h is beside KV head h mod H, not h // G."""
    b, h, g, d = q.shape
    return q.reshape(b, g, h, d).transpose(1, 2)
