"""Solves how many bits a quantised cache may spend on a number: a knob of few values, the others stay as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from harness.errors import InputError
from harness.methods.cost import Costed
from harness.methods.ratio import EXACT, SHARES, Budget, largest_knob

M = TypeVar("M", bound=Costed)
B = TypeVar("B", int, str)
SCALE = 32
"""Bits of a scale that a whole layer shares."""


def most_bits(build: Callable[..., M], choices: Sequence[B], budget: Budget, **fixed: Any) -> M:
    """Make the method with the most `bits`, of some choices, that keeps to the budget; what is left over stays unused.

    Lists of bits are written so that they sort as what they take does: "8,4" is after "4,4". Raises InputError if the
    fewest are too many, and at ratio 1, which is dense attention.
    """
    if budget.ratio <= 1:
        raise InputError("a quantised cache is smaller than ratio 1 asks for: dense is ratio 1")
    made = [build(**{**fixed, "bits": bits}) for bits in sorted(choices, reverse=True)]
    fitting = [method for method in made if budget.spent(method) <= budget.allowed]
    if not fitting:
        verb = "moves" if budget.of == "moved" else "holds"
        raise InputError(f"{budget.may}, with bits={min(choices)} it {verb} {budget.spent(made[-1]):,.0f}")
    return fitting[0]


def most_bits_and_outliers(
    build: Callable[..., M], choices: Sequence[int], outliers: float, budget: Budget, **fixed: Any
) -> M:
    """Make the method with the most `bits`; if even the fewest are too many, with a smaller `outlier_fraction`.

    That is at most `outliers`, which the method takes by itself. Knobs that are fixed stay. Raises InputError if even
    no outliers are too many.
    """
    choices = (fixed["bits"],) if "bits" in fixed else choices
    try:
        return most_bits(build, choices, budget, **fixed)
    except InputError:
        if budget.ratio <= 1 or "outlier_fraction" in fixed:
            raise

    def with_outliers(outlier_fraction: int, **knobs: Any) -> M:
        return build(outlier_fraction=outlier_fraction / SHARES, **knobs)

    bounds = 0, round(outliers * SHARES)
    fixed = {**fixed, "bits": min(choices)}
    return largest_knob(with_outliers, "outlier_fraction", bounds, budget, f"/{SHARES}", **fixed)


def at_its_ratio(method: M, budget: Budget) -> M:
    """Return a method that has as many bits as it may, if the ratio asked for is its own, or at most 2% less.

    Raises InputError otherwise.
    """
    spent = budget.spent(method)
    if (1 - EXACT) * budget.allowed <= spent <= budget.allowed:
        return method
    own = budget.allowed * budget.ratio / spent
    raise InputError(f"its ratio is {own:.2f}, with as many bits as it may have: without ratios it runs as it is")
