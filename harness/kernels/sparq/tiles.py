"""Cuts up SparQ's launches: plain arithmetic on shapes, measured on one H200 (docs/speed)."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kernels.choice.tiles import MOST_ENTRIES
from harness.kernels.shared.tiles import power

MOST_HELD = 256
"""Chosen tokens of a program that chooses by itself; no tile grows beyond it."""
FEW_CHANNELS = 4
"""Channels that are read in less time than a chunk's choice takes: 42 us stored, 52 not, at one row of 131,072."""


@dataclass(frozen=True)
class HeadTiles:
    """Says how a program chooses among the `chunk` tokens that it scores, with so many warps and registers.

    `stages` copies of channels are under way at once. The first `resident` programs of every multiprocessor start
    `wait` nanoseconds apart. With `narrow`, the search first narrows the tokens down. With `fused`, the program does
    all of SparQ for a KV head, and its exact attention takes `block` tokens at a time.
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
class ScoreTiles:
    """Says how logits are spread over programs: tokens and warps of each, copies of channels under way."""

    tile: int
    warps: int = 4
    stages: int = 4


def head_tiles(heads: int, longest: int, r: int, chosen: int, processors: int) -> HeadTiles | None:
    """Return tiles of programs that choose among the tokens that they score; None where scores are better stored.

    `heads` = B * H without groups, `longest` bounds their tokens. Every branch is the fastest of some that were timed.
    """
    tiles = _head_tiles(heads, longest, r, processors)
    chunks = -(-longest // tiles.chunk)
    stored = chunks > 1 and r <= FEW_CHANNELS
    return tiles if chosen <= MOST_HELD and chunks * chosen <= MOST_ENTRIES and not stored else None


def _head_tiles(heads: int, longest: int, r: int, processors: int) -> HeadTiles:
    chunk = power(longest)
    if chunk == 4096 or (chunk < 4096 and heads < 8 * processors):
        wait = chunk * r // 16 if heads > 2 * processors else 0
        return HeadTiles(chunk, 4, 128, wait, narrow=False, fused=True)
    if chunk <= 2048:
        return HeadTiles(chunk, 4, 80, chunk * r // 26, 6, stages=6, narrow=False)
    if chunk == 8192 and heads >= 2 * processors:
        return HeadTiles(chunk, 8, 128, chunk * r // 19, 2)
    if heads * longest < 2 * 4096 * processors:
        return HeadTiles(2048, 4)
    return HeadTiles(4096, 4, 128, 4000 if heads * longest > 4 * 4096 * processors else 0)


def score_tiles(tokens: int, group: int, r: int, processors: int) -> ScoreTiles:
    """Return tiles of the scores of `tokens` = B * H * N tokens by r channels, for `group` query heads each.

    A thread holds all heads of its tokens in registers. Every branch is the fastest of some that were timed, for groups
    of four; few channels need few copies.
    """
    if tokens < 4 * processors * 1024:  # spread over all processors
        tile, stages = 1024, 6
    elif tokens < 16 * processors * 1024:
        tile, stages = 2048, 4
    else:
        tile, stages = 2048, 10
    return ScoreTiles(max(128, tile * 4 // power(group, 4)), stages=min(stages, max(r, 4)))
