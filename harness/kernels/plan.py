"""How a launch is cut up: plain arithmetic on shapes, measured on one H200 (docs/speed)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import torch


def power(n: int, least: int = 16) -> int:
    """The smallest power of two that is at least n and `least`."""
    return max(least, 1 << max(n - 1, 0).bit_length())


def logit_rows(group: int) -> int:
    """Rows of a tile of query heads: one needs no tensor core, more are padded to its 16."""
    return 1 if group == 1 else power(group)


@dataclass(frozen=True)
class ScoreTiles:
    """How the approximate logits are computed: `chunk` tokens per program, with so many warps and registers each.

    `stages` copies of channels are under way at once. The first `resident` programs of every processor
    start `wait` nanoseconds apart. The search is to `narrow` the tokens down first. `fused` runs all of SparQ in one
    program per KV head, whose exact attention takes `block` tokens at a time. Groups have tiles of their own.
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
    """How groups' approximate logits are computed: tokens of a tile, tiles and warps of a program, copies under way."""

    tile: int = 128
    tiles: int = 8
    warps: int = 4
    stages: int = 3


@dataclass(frozen=True)
class AttendTiles:
    """How the exact attention is cut: tokens per block, warps, programs that share one KV head, copies under way."""

    block: int
    warps: int
    parts: int
    stages: int = 1


def score_tiles(heads: int, longest: int, r: int, processors: int) -> ScoreTiles:
    """Tiles of SparQ's scores for `heads` = B * H. Every branch is the fastest of some that were timed."""
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


def choice_tiles(longest: int, group: int, heads: int, processors: int) -> tuple[int, int]:
    """Tokens and warps of a program that chooses by stored scores, of `group` rows each, for `heads` = B * H."""
    largest = 8192 if heads * 2 >= processors and group == 1 else 4096
    chunk = min(power(longest), max(512, largest // power(group, 1)))
    return chunk, max(4, chunk // 2048)


def attend_tiles(heads: int, group: int, tokens: int, width: int, processors: int) -> AttendTiles:
    """Tiles of the exact attention over `tokens` kept tokens for `heads` = B * H."""
    largest = 128 if width <= 128 else 64
    if group > 1:
        tiles = AttendTiles(32, 2, 1, stages=2) if tokens < 192 else AttendTiles(largest, 8, 1, stages=2)
    elif heads >= 8 * processors and tokens < 192:
        tiles = AttendTiles(16, 1, 1)
    elif heads >= processors:
        tiles = AttendTiles(32, 2, 1)
    else:
        tiles = AttendTiles(largest, 4, 1)
    parts = max(1, min(tokens // (4 * tiles.block), -(-4 * processors // heads)))
    return replace(tiles, parts=parts)


@lru_cache
def processors(device: torch.device) -> int:
    """Multiprocessors of a GPU; of an H200 elsewhere."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 132


@lru_cache
def overlap(device: torch.device) -> dict[str, bool]:
    """Launch options: on Hopper and newer, a kernel may be set up while the one before still runs."""
    able = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (9, 0)
    return {"overlap": True, "launch_pdl": True} if able else {"overlap": False}
