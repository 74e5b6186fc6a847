"""How a launch is cut up: plain arithmetic on shapes, measured on one H200 (docs/speed)."""

from __future__ import annotations

from dataclasses import dataclass
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
    """Tokens per program, channels loaded at once, warps.

    `fused` runs all of SparQ in one program per KV head, whose exact attention takes `block` tokens at a time.
    """

    chunk: int
    stages: int
    warps: int
    fused: bool = False
    block: int = 32
    registers: int | None = None
    deep: int = 1
    wait: int = 0
    resident: int = 4
    together: int = 1


@dataclass(frozen=True)
class AttendTiles:
    """Tokens per block, warps, and programs that share one KV head."""

    block: int
    warps: int
    parts: int
    stages: int = 1


def score_tiles(heads: int, group: int, longest: int, r: int, k: int) -> ScoreTiles:
    """Tiles of the SparQ score for `heads` = B * H. Candidates (k per chunk) should be few against the chunk."""
    stages = next(u for u in (8, 4, 2, 1) if r % u == 0)
    chunk = min(power(longest), 4096 // power(group, 1))
    return ScoreTiles(chunk, stages, 4)


def attend_tiles(heads: int, group: int, tokens: int, width: int, processors: int) -> AttendTiles:
    """Tiles of the exact attention over `tokens` kept tokens for `heads` = B * H."""
    block = max(16, min(128, 16384 // width, power(tokens)))
    parts = max(1, min(-(-tokens // (2 * block)), 4 * processors // heads))
    return AttendTiles(block, 4, parts)


@lru_cache
def processors(device: torch.device) -> int:
    """Multiprocessors of a GPU; 1 elsewhere."""
    return torch.cuda.get_device_properties(device).multi_processor_count if device.type == "cuda" else 1
