"""Solves a method's knobs for a compression ratio, and counts what dense attention moves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from harness.errors import InputError
from harness.methods.contract import Method

M = TypeVar("M", bound=Method[Any])


def dense_transfers(n: int, d: int) -> float:
    """Count the elements of a dense decode step per KV head: n tokens of K and V read, one written (2ND + 2D)."""
    return 2 * n * d + 2 * d


def largest_knob(
    build: Callable[..., M], knob: str, bounds: tuple[int, int], ratio: float, n: int, d: int, **fixed: Any
) -> M:
    """Find the method with the largest integer `knob` within bounds that moves at most dense / ratio elements.

    Transfers must not fall as the knob grows. Raises InputError when even the lower bound moves too much.
    """
    allowed = dense_transfers(n, d) / ratio

    def moved(value: int) -> float:
        return build(**{**fixed, knob: value}).transfers(n, d)

    low, high = bounds
    if moved(low) > allowed:
        raise InputError(
            f"{allowed:.0f} elements are allowed per step and KV head, {knob}={low} moves {moved(low):.0f}"
        )
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if moved(middle) <= allowed else (low, middle - 1)
    return build(**{**fixed, knob: low})


def rank_and_tokens(build: Callable[..., M], ratio: float, n: int, d: int, **fixed: Any) -> M:
    """Solve a method that scores in r dimensions and attends to k tokens: r for a given k, k for a given r.

    With neither, half of the budget goes to each: r = D / ratio and k near S / (2 ratio). Raises InputError as above.
    """
    given = {knob: value for knob, value in fixed.items() if value is not None}
    if "k" in given:
        return largest_knob(build, "r", (1, d), ratio, n, d, **given)
    given.setdefault("r", max(1, int(d / ratio)))
    return largest_knob(build, "k", (1, n), ratio, n, d, **given)
