"""Cuts up the launches that read labels: plain arithmetic on shapes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LabelTiles:
    """Says how the labels of a KV head are shared: programs, labels of each, labels and warps at once.

    Labels of a program are a multiple of `block`, which no group of neighbours that share a maximum crosses.
    """

    parts: int
    per_part: int
    block: int
    warps: int = 4
    stages: int = 3


ENTRIES = 8192
"""Entries of labels that a program holds at once."""
LEAST_BLOCKS = 2
"""Blocks of a program, at least: the next is loaded while one is scored."""


def label_tiles(heads: int, labels: int, width: int, of: int, processors: int) -> LabelTiles:
    """Return tiles for `heads` = B * H of at most `labels` labels, which take `width` entries each.

    `of` neighbours share a maximum.
    """
    block = max(of, min(1024, ENTRIES // width))
    blocks = -(-labels // block)
    parts = max(1, min(blocks // LEAST_BLOCKS, -(-8 * processors // heads)))
    return LabelTiles(parts, -(-blocks // parts) * block, block)
