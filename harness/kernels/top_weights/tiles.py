"""Cuts up the launches that read all of K: plain arithmetic on shapes."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kernels.choice.tiles import MOST_NEIGHBOURS
from harness.kernels.shared.tiles import power


@dataclass(frozen=True)
class RowTiles:
    """Says how the tokens of a KV head are shared: programs, columns of each, columns and warps at once.

    Columns of a program are a multiple of `block`, which no group of neighbours that share a maximum crosses.
    """

    parts: int
    per_part: int
    block: int
    warps: int = 4

    def weighed(self, group: int) -> int:
        """Return the columns of logits that a program weighs at once: a divisor of per_part."""
        block = max(self.block, 1024 // power(group, 1))
        while self.per_part % block:
            block //= 2
        return block


def row_tiles(heads: int, longest: int, width: int, processors: int) -> RowTiles:
    """Return tiles for `heads` = B * H of at most `longest` tokens, at head width `width`."""
    block = max(MOST_NEIGHBOURS, 8192 // width)
    blocks = -(-longest // block)
    parts = max(1, min(blocks // 4, -(-8 * processors // heads)))
    return RowTiles(parts, -(-blocks // parts) * block, block)
