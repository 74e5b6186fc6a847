"""Cuts up launches that several operators share: plain arithmetic on shapes, measured on one H200."""

from __future__ import annotations

from dataclasses import dataclass, replace


def power(n: int, least: int = 16) -> int:
    """Return the smallest power of two that is at least n and `least`."""
    return max(least, 1 << max(n - 1, 0).bit_length())


def logit_rows(group: int) -> int:
    """Return the rows of a tile of query heads: one needs no tensor core, more are padded to its 16."""
    return 1 if group == 1 else power(group)


def parts_at_once(parts: int) -> int:
    """Return how many parts' sums a program holds at once, of however many there are."""
    return min(power(parts, 1), 32)


@dataclass(frozen=True)
class AttendTiles:
    """Says how the exact attention is cut: tokens per block, warps, programs per KV head, copies under way."""

    block: int
    warps: int
    parts: int
    stages: int = 1


def attend_tiles(heads: int, group: int, tokens: int, width: int, processors: int) -> AttendTiles:
    """Return tiles of the exact attention over `tokens` kept tokens, head width `width`, for `heads` = B * H.

    `processors` is the number of multiprocessors. Every branch is the fastest of some that were timed (docs/speed).
    """
    largest = 128 if width <= 128 else 64
    if group > 1 and heads < processors and tokens < 192:
        tiles = AttendTiles(largest, 4, 1)
    elif group > 1:
        tiles = AttendTiles(32, 2, 1, stages=2) if tokens < 192 else AttendTiles(largest, 8, 1, stages=2)
    elif heads >= 8 * processors and tokens < 192:
        tiles = AttendTiles(16, 1, 1)
    elif heads >= processors:
        tiles = AttendTiles(32, 2, 1)
    else:
        tiles = AttendTiles(largest, 4, 1)
    parts = max(1, min(tokens // (2 * tiles.block), -(-4 * processors // heads)))
    return replace(tiles, parts=parts)
