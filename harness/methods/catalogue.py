"""Finds the techniques by name: each is a file harness/methods/FAMILY/NAME.py, and no list of them exists."""

from __future__ import annotations

import dataclasses
import importlib
import pkgutil
from collections.abc import Mapping
from functools import cache
from typing import Any

import harness.methods
from harness.errors import InputError
from harness.methods.contract import Method
from harness.methods.exemption import Exemption
from harness.methods.knob_types import is_open, later
from harness.methods.ratio import Budget

SHARED = tuple(field.name for field in dataclasses.fields(Exemption))
"""Names the knobs that every method has."""


def names() -> list[str]:
    """List every method, in alphabetical order."""
    return sorted(_modules())


def runnable() -> list[str]:
    """List the methods that a grid can run, in alphabetical order."""
    return [name for name in names() if not find(name).about.not_runnable]


def check_runnable(name: str) -> None:
    """Raise InputError, with its reason, for a method that no run can use."""
    if reason := find(name).about.not_runnable:
        raise InputError(f"method '{name}' cannot be run: {reason}")


def find(name: str) -> type[Method[Any]]:
    """Return the class that a method's file exports. Raises InputError for an unknown name."""
    if name not in names():
        raise InputError(f"unknown method '{name}': choose from {', '.join(names())}")
    module = importlib.import_module(_modules()[name])
    (exported,) = module.__all__
    return getattr(module, exported)  # type: ignore[no-any-return]


def knobs(cls: type[Method[Any]]) -> dict[str, Any]:
    """Return knob names and defaults; dataclasses.MISSING where there is no default. Dense has none to exempt."""
    found = {f.name: f.default for f in dataclasses.fields(cls)}
    own = {name: default for name, default in found.items() if name not in SHARED}
    return own if cls.is_dense else own | {name: found[name] for name in SHARED}


def open_knobs(name: str, given: Mapping[str, Any]) -> list[str]:
    """List the knobs that nothing sets: without any a method is run as it is, whatever ratio is asked for."""
    return [knob for knob in knobs(find(name)) if is_open(find(name), knob, given)]


def create(name: str, /, **settings: Any) -> Method[Any]:
    """Make a method by name, such as create("sparq", r=8, k=16, local=4). Raises InputError for a bad name or knob."""
    cls = find(name)
    check_runnable(name)
    check_knobs(name, settings)
    missing = open_knobs(name, settings)
    if missing:
        raise InputError(f"method '{name}' needs {' and '.join(missing)}")
    return cls(**settings)


def check_knobs(name: str, settings: dict[str, Any]) -> None:
    """Raise InputError when a setting is no knob of the method."""
    known = knobs(find(name))
    for knob in settings:
        if knob not in known:
            has = f"its knobs are {', '.join(known)}" if known else "it has none"
            raise InputError(f"method '{name}' has no knob '{knob}': {has}")


def solve(name: str, budget: Budget, /, **fixed: Any) -> Method[Any]:
    """Solve a method for a compression ratio, `fixed` knobs kept. Raises InputError if the ratio is out of reach."""
    check_runnable(name)
    check_knobs(name, fixed)
    try:
        return find(name).at(budget, **fixed)
    except InputError as error:
        ratio = f"{'memory ' if budget.of == 'held' else ''}ratio {budget.ratio:g}"
        raise InputError(f"{name} cannot reach {ratio} {budget.words}: {error}") from None


def settings(method: Method[Any]) -> dict[str, Any]:
    """Return the knobs of a method as a plain dictionary, without those that say nothing."""
    return telling(type(method), {name: getattr(method, name) for name in knobs(type(method))})


def telling(cls: type[Method[Any]], given: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out the knobs that say nothing: at their default, those that came later, and those of all methods.

    Of the latter, a default that exempts a layer is said.
    """
    neutral, defaults = dataclasses.asdict(Exemption()), knobs(cls)

    def silent(name: str, value: Any) -> bool:
        return value == defaults[name] and (value == neutral[name] if name in neutral else later(cls, name))

    return {name: value for name, value in given.items() if not silent(name, value)}


def facts(name: str) -> dict[str, Any]:
    """Return what a method says of itself and its family, as plain data. Raises InputError for an unknown name."""
    return {**dataclasses.asdict(find(name).about), "family": _modules()[name].split(".")[-2]}


def bibliography() -> str:
    """Return the BibTeX entries of all methods' papers, each once, by key."""
    papers = {find(name).about.paper for name in names()}
    return "\n".join(sorted(paper.bibtex for paper in papers if paper is not None))


@cache
def _modules() -> Mapping[str, str]:
    """Map each method's name to its module, a file of one of the families (the packages beside this file)."""
    found: dict[str, str] = {}
    for family in pkgutil.iter_modules(harness.methods.__path__, "harness.methods."):
        if family.ispkg:
            package = importlib.import_module(family.name)
            found |= {m.name: f"{family.name}.{m.name}" for m in pkgutil.iter_modules(package.__path__)}
    return found
