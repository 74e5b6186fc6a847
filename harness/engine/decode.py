"""Decoding: the linear layers run once for all methods' rows, attention is each method's own."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from harness.engine.decode_stream import DecodeStream, Place
from harness.engine.model import LayerCall


class Decode:
    """A mode in which row block i of the batch belongs to branch i; `done` tokens are decoded already.

    `column` [T] int64, on the device, is the place of each new token among the decoded ones. To repeat the launches of
    a pass of one token with another number in `column`, as a CUDA graph does, is to decode that token; unless
    `narrowed`, when a layer saw less than all that is causal: those launches depend on how much is decoded.
    """

    def __init__(self, branches: Sequence[DecodeStream], done: int, column: Tensor) -> None:
        cache = branches[0].cache
        self.cached = cache.prompt + done
        self.narrowed = False
        self._branches = branches
        self._rows = len(cache.lengths)
        kv_lengths = (cache.prompt + 1 + column).int()
        self._place = Place(done, column, kv_lengths[:, None].repeat(1, self._rows))

    def attend(self, call: LayerCall) -> Tensor:
        """Every branch attends with its own rows."""
        self.narrowed |= call.window_mask is not None
        output = torch.empty_like(call.q)
        for i, branch in enumerate(self._branches):
            rows = slice(i * self._rows, (i + 1) * self._rows)
            own = LayerCall(call.layer, call.q[rows], call.k[rows], call.v[rows], call.window_mask, call.scores)
            output[rows] = branch.attend(own, self._place)
        return output
