"""Stops the making of a model that its configuration describes as larger than any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.modules import module as registration

from harness.errors import InputError

MOST_MODULES = 2**14
"""Of a model whose code is transformers' own: one of 126 layers has some 2,000."""
PER_TENSOR, OUTER = 8, 512
"""Modules for each tensor that weights hold, and besides: blocks have one or two."""
MOST_NUMBERS = 2**42
"""Of a whole model: the largest that are known have 2^40."""
MOST_NUMBERS_OF_COPY = 2**27
"""Of a small copy that is tried out: 1 GB in float64."""


def most_modules(tensors: int | None) -> int:
    """Return how many modules a model may have whose weights are so many tensors, if their number is known."""
    return MOST_MODULES if tensors is None else min(MOST_MODULES, OUTER + PER_TENSOR * tensors)


class _Counted:
    """Counts what is registered on any module."""

    def __init__(self, numbers: int, modules: int | None) -> None:
        self._most_numbers, self._most_modules = numbers, modules
        self._numbers = self._modules = 0

    def module(self, *_: Any) -> None:
        """Count a module. Raises InputError for one too many."""
        self._modules += 1
        if self._most_modules is not None and self._modules > self._most_modules:
            raise InputError(
                f"its configuration describes more than {self._most_modules:,} modules, as no such model, or none of "
                "these weights, has: mend its number of layers"
            )

    def tensor(self, _module: Any, name: str, tensor: Any) -> None:
        """Count a parameter or a buffer. Raises InputError for numbers too many."""
        self._numbers += 0 if tensor is None else tensor.numel()
        if self._numbers > self._most_numbers:
            raise InputError(
                f"its configuration describes more than {self._most_numbers:,} numbers (up to {name} of shape "
                f"{list(tensor.shape)}): mend its sizes"
            )


@contextmanager
def bounded(numbers: int = MOST_NUMBERS, modules: int | None = MOST_MODULES) -> Iterator[None]:
    """Raise InputError as soon as models made inside have more numbers, or more modules, than this.

    Made on the meta device, they take no memory before.
    """
    counted = _Counted(numbers, modules)
    handles = (
        registration.register_module_module_registration_hook(counted.module),
        registration.register_module_parameter_registration_hook(counted.tensor),
        registration.register_module_buffer_registration_hook(counted.tensor),
    )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
