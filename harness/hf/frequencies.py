"""Lists the rotary embeddings that a model may use, by the frequencies and tables that its modules hold."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from harness.attention import Rope


def candidates(model: Any) -> Iterator[Rope]:
    """Yield an embedding of no width, for a layer without positions; then each set of frequencies in each way."""
    yield Rope(torch.zeros(0))
    for frequencies, scaling in _frequencies(model):
        for interleaved in (False, True):
            for signed in (frequencies, -frequencies):
                yield Rope(signed, interleaved, scaling)


def _frequencies(model: Any) -> Iterator[tuple[Tensor, float]]:
    """Yield frequencies and the factor of cosine and sine beside them."""
    for name, buffer in model.named_buffers():
        owner, _, leaf = name.rpartition(".")
        if not buffer.is_floating_point():
            continue
        if buffer.dim() == 1:
            beside = leaf.replace("original_", "").replace("inv_freq", "attention_scaling")
            scaling = getattr(model.get_submodule(owner), beside, 1.0)
            yield buffer.clone(), float(scaling) if isinstance(scaling, float | int) else 1.0
        elif buffer.dim() == 2 and len(buffer) > 1 and buffer.shape[1] % 2 == 0:
            yield of_table(buffer), 1.0


def of_table(table: Tensor) -> Tensor:
    """Recover frequencies [W/2] from a table [positions, W] of sines beside cosines, which comes first told by row 0.

    Rows 1, 2, 4, ... each halve the error of the rows before: which turn an angle is in, those say.
    """
    first, second = table.double().chunk(2, -1)
    sin, cos = (first, second) if first[0, 0] == 0 else (second, first)
    angles = torch.atan2(sin, cos)
    frequencies, position = angles[1], 2
    while position < len(table):
        turns = ((position * frequencies - angles[position]) / math.tau).round()
        frequencies, position = (math.tau * turns + angles[position]) / position, 2 * position
    return frequencies
