"""Counts what a decode step of a method moves over the layers of a model, as the time model asks for it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from harness.attention import LayerShape
from harness.forecast.device import Traffic
from harness.kernels import find_binding
from harness.methods import Method
from harness.methods.cost import ELEMENT, Stack


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
    tokens = sum(layer.visible(n) for layer in layers)
    by_kernel = kernels and find_binding(method) is not None
    attend = cost.attend + cost.write
    sizes = choose * size, attend * size, whole * size
    return Traffic(name, method.about.access, *sizes, tokens, by_kernel, in_codes=method.owns_cache)
