"""Finds the kernels of others that attention is timed beside: a library has a file here, a function is given."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping, Sequence

from harness.bench.rivals.base import Rival
from harness.bench.rivals.given import given
from harness.errors import InputError


def chosen(names: Sequence[str] | None) -> list[Rival]:
    """Return the rivals of these names; every library for no names, and none for None.

    A name is a library's or a function, `module:function`. Imports no library. Raises InputError.
    """
    known = libraries()
    if names is None:
        return []
    return [given(name) if ":" in name else _library(name, known) for name in dict.fromkeys(names or known)]


def libraries() -> Mapping[str, Rival]:
    """Map the name of every library to its rival: the files of this package that export one."""
    files = sorted(module.name for module in pkgutil.iter_modules(__path__, f"{__name__}."))
    found = [getattr(importlib.import_module(file), "RIVAL", None) for file in files]
    return {rival.name: rival for rival in found if rival is not None}


def _library(name: str, known: Mapping[str, Rival]) -> Rival:
    if name not in known:
        raise InputError(f"unknown rival '{name}': choose from {', '.join(known)}, or give a function, module:function")
    return known[name]


__all__ = ["Rival", "chosen", "libraries"]
