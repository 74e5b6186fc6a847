"""Cuts up the choice of tokens: plain arithmetic on shapes. No tile grows with k or with the number of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kernels.shared.tiles import power

MOST_GROUPS, LEAST_NEIGHBOURS, MOST_NEIGHBOURS = 4096, 8, 64
MOST_PICKED, MOST_ENTRIES = 256, 8192
"""Groups whose tokens one program looks at, and tokens that it holds in registers."""
DIGITS = 4
"""Of eight bits each, in a float32."""
PHASES = DIGITS + 2
"""Of a search by digits: each digit, counting, listing."""
MOST_PARTS, BLOCK = 64, 1024
RESIDENT = 4
"""Programs of four warps that a processor surely runs at once, of up to 128 registers a thread."""
MOST_WAITING = 4
"""Times as many tokens as a program of many would have that one gets, so that all run at once."""
FEW_GROUPS = 1024
"""Groups of neighbours that four warps search as fast as eight."""


def neighbours(longest: int) -> int:
    """Return how many neighbouring tokens share their largest score: few enough groups for a program to hold."""
    return min(MOST_NEIGHBOURS, max(LEAST_NEIGHBOURS, power(-(-longest // MOST_GROUPS), 1)))


def picks(k: int, longest: int) -> int | None:
    """Return the places for the k best groups of neighbours; None if they, or their tokens, are more than fit."""
    places, of = power(k, 64), neighbours(longest)
    return places if k <= MOST_PICKED and places * of <= MOST_ENTRIES and longest <= MOST_GROUPS * of else None


def is_whole(longest: int) -> bool:
    """Return True if a program can hold the scores of all tokens."""
    return longest <= MOST_ENTRIES


@dataclass(frozen=True)
class Radix:
    """Says how a search by digits is cut up: programs per KV head, tokens of each and of a tile, warps.

    All programs run `at_once`, so that they can wait for each other.
    """

    parts: int
    per_part: int
    block: int
    at_once: bool
    warps: int = 4


def radix(longest: int, heads: int, processors: int) -> Radix:
    """Return the tiles of a search by digits among at most `longest` tokens of each of B * H heads."""
    block = BLOCK if heads * longest <= 2 * processors * BLOCK else 2 * BLOCK
    blocks, room = -(-longest // block), max(1, RESIDENT * processors // heads)
    fewest = -(-blocks // MOST_PARTS)
    waiting = max(fewest, -(-blocks // room))
    at_once = heads <= RESIDENT * processors and waiting <= MOST_WAITING * fewest
    per_part = waiting if at_once else fewest
    return Radix(-(-blocks // per_part), per_part * block, block, at_once)


@dataclass(frozen=True)
class PickTiles:
    """Says how a program chooses and attends: warps, tokens per block of attention, copies of blocks under way."""

    warps: int
    block: int
    stages: int = 1


def pick_tiles(heads: int, group: int, width: int, groups: int, processors: int) -> PickTiles | None:
    """Return tiles of one launch that chooses and attends, None where a launch for each is better, or was not timed.

    `heads` = B * H of `group` query heads, of head width `width`, choose among `groups` of neighbours.
    """
    if heads < processors:
        return PickTiles(8, 128 if width <= 128 else 64)
    return PickTiles(4, 32) if group > 1 and groups <= FEW_GROUPS else None
