"""Draws random numbers by counting: each depends on its own coordinates alone, the same on every device.

No generator is kept, so that padding, batch neighbours and the order of layers and methods change no draw.
"""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor

N = TypeVar("N", Tensor, int)
RANGE = 1 << 31


def mix(x: N) -> N:
    """Mix integers to 0 .. 2^31 - 1, the same on every device."""
    for factor in (0x45D9F3B, 0x119DE1F3):
        x = ((x ^ (x >> 16)) * factor) & 0x7FFFFFFF
    return x ^ (x >> 16)


def uniform(seed: int, *coordinates: Tensor | int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Draw numbers in [0, 1), one for each combination of coordinates, which broadcast with one another.

    Coordinates are integers of at least 0, such as layer, KV head, decode step and token; a tensor is among them. They
    are hashed one after the other, so the same numbers in another order are another draw. A number has 31 random bits.
    """
    hashed: Any = mix(seed * 104_729 + 1)
    for place, coordinate in enumerate(coordinates, 1):
        number: Any = coordinate + place * 7_919
        hashed = mix(hashed * 31 + mix(number))
    if not isinstance(hashed, Tensor):
        raise TypeError("uniform needs a tensor among its coordinates: it says where the numbers are wanted")
    return hashed.to(dtype) / RANGE


def gumbel(seed: int, *coordinates: Tensor | int) -> Tensor:
    """Draw standard Gumbel noise in float64, always finite, by the coordinates that `uniform` takes."""
    return -(-(uniform(seed, *coordinates) + 0.5 / RANGE).log()).log()
