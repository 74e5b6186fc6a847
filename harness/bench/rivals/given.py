"""Times any kernel that is given as `module:function`."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from harness.bench.cases import Buffers
from harness.bench.rivals.base import Rival
from harness.errors import InputError, first_line

SIGNATURE = "fn(q [B, Hq, D], k [B, H, N, D], v [B, H, N, D], scale) -> [B, Hq, D]"
"""What a given function is called with, and what it returns; k and v may be views, N is their filled length."""
Attention = Callable[[Tensor, Tensor, Tensor, float], object]


def given(name: str) -> Rival:
    """Return the rival of a `module:function`, which is imported here. Raises InputError if there is none."""
    module, _, attribute = name.partition(":")
    if not (module and attribute.isidentifier()):
        raise InputError(f"--rivals {name} is no function: write module:function, such as my_kernels.decode:attend")
    with _current_folder():
        try:
            found = importlib.import_module(module)
        except Exception as error:
            reason = f"{type(error).__name__}: {first_line(error)}"
            raise InputError(f"--rivals {name}: '{module}' cannot be imported ({reason}): mend or install it") from None
    function = getattr(found, attribute, None)
    if not callable(function):
        raise InputError(f"--rivals {name}: '{module}' has no function '{attribute}': define {SIGNATURE}")
    return Rival(name, {name: lambda x: _call(function, x)})


def _call(function: Attention, x: Buffers) -> Callable[[], object]:
    step = x.step
    q, scale = step.q.flatten(1, 2), step.scores.scale
    return lambda: function(q, step.k, step.v, scale)


@contextmanager
def _current_folder() -> Iterator[None]:
    """Find modules in the current folder too, as `python` does and an installed command does not."""
    folder = str(Path.cwd())
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
