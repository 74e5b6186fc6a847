"""Counts what a decode step of a method moves over the layers of a model, as the time model asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.attention import LayerShape
from harness.forecast.device import Traffic
from harness.forecast.transformer import Transformer
from harness.kernels import find_binding, fits
from harness.kernels.choice.tiles import is_whole, picks
from harness.methods import Method
from harness.methods.cost import ELEMENT, LayerAt, Stack
from harness.sweep.job import EngineSpec


def traffic_of(
    name: str, method: Method[Any], layers: Sequence[LayerShape], n: int, element: int, kernels: bool = True
) -> Traffic:
    """Describe one row's step at n cached tokens, for elements of so many bytes.

    `kernels` says that the model's attention may run by kernels. An oracle reads all of K to choose, though its cost
    leaves that out.
    """
    stack = Stack(tuple(layers))
    cost, whole = stack.cost(method, n), stack.dense(n).attend
    size = element / ELEMENT
    choose = whole / 2 if method.oracle else cost.choose
    sizes = choose * size, (cost.attend + cost.write) * size, whole * size
    acted_on = stack.acted_on(method, n)
    return Traffic(
        name,
        method.about.access,
        *sizes,
        sum(count * method.scored(at) for at, count in acted_on),
        kernels and find_binding(method) is not None,
        search_of(method, [at for at, _ in acted_on]),
        sum(count * at.kv_heads * method.coded(at) for at, count in acted_on),
        method.measured,
    )


def may_run_by_kernels(engine: EngineSpec, model: Transformer) -> bool:
    """Say if the kernels may compute a model's attention, on a device that runs them."""
    return engine.kernel != "torch" and fits(max(layer.head_dim for layer in model.layers), model.capped)


def search_of(method: Method[Any], layers: Sequence[LayerAt]) -> str:
    """Name how a kernel finds what the method attends to, by how many of how many entries it chooses in a layer.

    The layer with the most entries tells; a method that acts in none chooses among none.
    """
    if not layers:
        return "groups"
    at = max(layers, key=method.scored)
    entries = max(1, round(method.scored(at)))
    chosen = method.cost(at).attend / at.tokens(1) * entries / at.n
    if picks(max(1, round(chosen)), entries):
        return "groups"
    return "whole" if is_whole(entries) else "digits"
