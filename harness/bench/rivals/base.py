"""Describes a kernel of others that computes dense attention of one decode step."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from harness.bench.cases import Buffers, Make
from harness.bench.timing import Call
from harness.errors import first_line


@dataclass(frozen=True)
class Rival:
    """Names a kernel, what makes its calls under the name of each path, and what must be installed for it.

    `module` is what is imported and `package` what is installed; both are "" for what is there already.
    """

    name: str
    paths: Mapping[str, Callable[[Buffers], Callable[[], object]]]
    module: str = ""
    package: str = ""

    @property
    def absence(self) -> str:
        """Say what is not installed; "" if nothing is missing. Imports nothing."""
        missing = bool(self.module) and importlib.util.find_spec(self.module) is None
        return f"{self.package} is not installed: pip install {self.package}" if missing else ""

    @property
    def version(self) -> str:
        """Name the package and its version, which the rows of its paths note; "" for what is no package."""
        if not self.package:
            return ""
        try:
            return f"{self.package} {importlib.metadata.version(self.package)}"
        except importlib.metadata.PackageNotFoundError:
            return f"{self.package}, of a version that it does not say"

    @property
    def makes(self) -> Mapping[str, Make]:
        """Return what makes a call under each path's name; whatever such a call raises is a RuntimeError."""
        return {name: _guarded(make) for name, make in self.paths.items()}


def _guarded(make: Callable[[Buffers], Callable[[], object]]) -> Make:
    """Make calls that return as many elements as there are in q, and raise RuntimeError otherwise."""

    def guarded(x: Buffers) -> Call:
        with _refusal():
            call = make(x)

        def checked() -> Tensor:
            with _refusal():
                output = call()
                if not isinstance(output, Tensor) or output.numel() != x.q.numel():
                    shape = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
                    raise TypeError(f"it must return a tensor of {x.q.numel()} elements, [B, Hq, D], not {shape}")
            return output

        return checked

    return guarded


@contextmanager
def _refusal() -> Iterator[None]:
    """Turn what a foreign library raises into a RuntimeError, a lack of memory apart."""
    try:
        yield
    except torch.OutOfMemoryError:
        raise
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {first_line(error)}") from error
