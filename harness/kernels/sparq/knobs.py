"""Translates SparQ's knobs into what its kernels take."""

from __future__ import annotations

from dataclasses import dataclass

from harness.errors import InputError


@dataclass(frozen=True)
class Knobs:
    """Holds SparQ's knobs as the kernels take them: `chosen` tokens among those older than the newest `window`."""

    r: int
    window: int
    chosen: int
    scale: float
    reallocate: bool

    @classmethod
    def of(cls, d: int, longest: int, r: int, k: int, local: int | None, scale: float | None, mix: bool) -> Knobs:
        """Translate the paper's knobs: k + 1 tokens are kept, and those of age <= local are among them."""
        if r < 1 or k < 1:
            raise InputError(f"sparq needs r and k of at least 1, not {r} and {k}")
        local = min(k // 4 if local is None else local, k)
        chosen = min(k - local, max(longest - local - 1, 0))
        return cls(min(r, d), local + 1, chosen, d**-0.5 if scale is None else scale, mix)
