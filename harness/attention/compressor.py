"""Names a compression of the prompt's cache that another package computes, and says how it is called."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from torch import Tensor

from harness.attention.rope import Rope


@dataclass(frozen=True)
class Compressor:
    """Names a press of kvpress, those that it wraps behind a slash, with the share of tokens that it is to remove.

    `options` are arguments as in "window_size=32, kernel_size=7"; `seed` is that of the random numbers it may draw.
    """

    press: str
    ratio: float
    options: str = ""
    seed: int = 0


class Compressed(NamedTuple):
    """Holds what is left of a prompt: k and v [1, H, K, D], and kept [1, H, K] bool where some of it is masked out."""

    k: Tensor
    v: Tensor
    kept: Tensor | None = None


class Compress(Protocol):
    """Compresses the cache of one layer."""

    def __call__(self, inputs: Tensor, k: Tensor, v: Tensor, rope: Rope, /) -> Compressed:
        """Compress a prompt without padding: inputs [1, S, E] of attention, rotated k and v [1, H, S, D].

        Raises InputError where the compression fails on it.
        """
        ...
