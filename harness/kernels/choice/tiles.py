"""Cuts up the choice of tokens: plain arithmetic on shapes. No tile grows with k or with the number of tokens."""

from __future__ import annotations

from dataclasses import dataclass

from harness.kernels.shared.tiles import power

MOST_GROUPS, LEAST_NEIGHBOURS, MOST_NEIGHBOURS = 4096, 8, 64
MOST_PICKED, MOST_ENTRIES = 256, 8192
"""Groups whose tokens one program looks at, and tokens that it holds in registers."""
MOST_PARTS, BLOCK = 64, 1024


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
    """Says how a search by digits is cut up: programs per KV head, tokens of each and of a tile, warps."""

    parts: int
    per_part: int
    block: int = BLOCK
    warps: int = 4


def radix(longest: int) -> Radix:
    """Return the tiles of a search by digits among at most `longest` tokens."""
    blocks = -(-longest // BLOCK)
    per_part = -(-blocks // MOST_PARTS) * BLOCK
    return Radix(-(-longest // per_part), per_part)
