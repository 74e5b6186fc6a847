"""Shares a budget of tokens among the layers, more to the lower ones: the schedule of PyramidKV, which others take."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, TypeVar

from harness.methods.knob_types import floor
from harness.methods.prompt_eviction import PromptEviction
from harness.methods.ratio import Budget, largest_knob

M = TypeVar("M", bound=PromptEviction)


def share_of_layer(budget: int, tokens: int, beta: int, layer: int, layers: int) -> int:
    """Count what a layer elects of `tokens` candidates, where the layers elect `budget` on average.

    Falls by equal steps from the first layer, of twice the budget less a `beta`-th of it, towards that `beta`-th; where
    the first has fewer candidates, it takes all of them and the last so much more. Steps are rounded down, so that the
    mean over the layers lies above the budget. A lone layer has the budget. Source: PyramidKV, released code.
    """
    if layers == 1:
        return budget
    least = budget // beta
    most = 2 * budget - least
    if most >= tokens:
        most, least = tokens, 2 * budget - tokens
    return most - layer * ((most - least) // (layers - 1))


def largest_k(build: type[M], budget: Budget, **fixed: Any) -> M:
    """Find the method with the largest k whose layers together keep to the budget.

    One more k may make a step steeper, and all layers together smaller by half a token each: beyond the first k that
    is too much, as many more are tried as there are layers. Raises InputError as `largest_knob` does.
    """
    found = largest_knob(build, "k", (floor(build, "k", **fixed), budget.tokens), budget, **fixed)
    most = min(found.k + len(budget.layers), budget.tokens)
    beyond = (replace(found, k=k) for k in range(most, found.k, -1))
    return next((method for method in beyond if budget.spent(method) <= budget.allowed), found)
