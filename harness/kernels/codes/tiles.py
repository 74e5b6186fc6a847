"""Cuts up attention over packed codes: plain arithmetic on shapes."""

from __future__ import annotations

from dataclasses import dataclass

import torch

FEWEST = 16
"""Channels whose codes of 2 bits are a word."""


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


def reads_words(group: int, d: int, dtype: torch.dtype) -> bool:
    """Return True if codes are read back four bytes at a time: in short floats, for tensor cores, which groups take.

    A token's codes of 2 bits must fill whole words, a number of them that is a power of two.
    """
    return group > 1 and d >= FEWEST and not d & (d - 1) and dtype in {torch.float16, torch.bfloat16}
