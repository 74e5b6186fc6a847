"""Cuts up attention over packed codes: plain arithmetic on shapes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CodeTiles:
    """Says how attention over codes is cut: tokens per block, warps, programs per KV head, copies under way."""

    block: int = 64
    warps: int = 4
    parts: int = 1
    stages: int = 1


def code_tiles(heads: int, tokens: int, width: int, processors: int) -> CodeTiles:
    """Return tiles of attention over `tokens` tokens, head width `width`, for `heads` = B * H.

    Programs of a few blocks each fill the processors several times over: what they read back is computed, not only
    loaded, and hides the loads of others. `processors` is the number of multiprocessors.
    """
    block = 64 if width <= 128 else 32
    parts = max(1, min(tokens // (4 * block), -(-8 * processors // heads)))
    return CodeTiles(block, parts=parts)
