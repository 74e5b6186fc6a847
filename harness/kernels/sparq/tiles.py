"""Cuts up SparQ's launches: plain arithmetic on shapes, measured on one H200 (docs/speed)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kernels.shared.tiles import power


@dataclass(frozen=True)
class ScoreTiles:
    """Says how approximate logits are computed: `chunk` tokens per program, with so many warps and registers each.

    `stages` copies of channels are under way at once. The first `resident` programs of every multiprocessor start
    `wait` nanoseconds apart. With `narrow`, the search first narrows the tokens down. With `fused`, one program per KV
    head does all of SparQ, and its exact attention takes `block` tokens at a time. Groups have tiles of their own.
    """

    chunk: int
    warps: int
    registers: int | None = None
    wait: int = 0
    resident: int = 4
    stages: int = 6
    narrow: bool = True
    fused: bool = False
    block: int = 64


@dataclass(frozen=True)
class GroupTiles:
    """Says how groups' approximate logits are computed: tokens of a tile, tiles and warps of a program, stages."""

    tile: int = 128
    tiles: int = 8
    warps: int = 4
    stages: int = 3


def score_tiles(heads: int, longest: int, r: int, processors: int) -> ScoreTiles:
    """Return tiles of SparQ's scores for `heads` = B * H and at most `longest` tokens, on so many multiprocessors.

    Every branch is the fastest of some that were timed.
    """
    chunk = power(longest)
    if chunk == 4096 or (chunk < 4096 and heads < 8 * processors):
        wait = chunk * r // 16 if heads > 2 * processors else 0
        return ScoreTiles(chunk, 4, 128, wait, narrow=False, fused=True)
    if chunk <= 2048:
        return ScoreTiles(chunk, 4, 80, chunk * r // 26, 6, stages=6, narrow=False)
    if chunk == 8192 and heads >= 2 * processors:
        return ScoreTiles(chunk, 8, 128, chunk * r // 19, 2)
    if heads * longest < 2 * 4096 * processors:
        return ScoreTiles(2048, 4)
    return ScoreTiles(4096, 4, 128, 4000 if heads * longest > 4 * 4096 * processors else 0)
