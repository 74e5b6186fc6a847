"""`harness list` tells what can be named on the command line, a line each; of methods it tells more."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Literal

from harness.commands.compose import GROUPS, choices
from harness.commands.parser import Parser
from harness.errors import InputError

if TYPE_CHECKING:
    from harness.methods import Method

ABOUT = "List the models, methods with their knobs, tasks, data, budgets, experiments and launchers to choose from."
NOTE = """examples:
  harness list              a line for every name
  harness list methods      of each method its family, year, source, knobs with defaults, and what it needs
  harness list task         one group alone
  harness list --bib        the methods' publications, as BibTeX

`harness run` takes a name as GROUP=NAME, such as task=squad, and methods as 'methods=[dense,sparq]', or all.
Knobs without a value here are solved for each of `ratios` or `memory_ratios`; method.sparq.k=64 sets one.
"""
METHODS = "methods"
NEEDS = {
    "rope": "the layers' rotary embedding",
    "calibration": "the task's first prompts to learn from",
    "weights": "the model's weights",
    "compress": "the package kvpress",
}
"""What a method may need besides the cache, in words."""


def add_arguments(parser: Parser) -> None:
    """Declare what is wanted."""
    parser.epilog = NOTE
    groups = [METHODS, *GROUPS]
    parser.add_argument(
        "what", nargs="?", choices=groups, help="list this alone; methods with all that is known of them"
    )
    parser.add_argument("--bib", action="store_true", help="print the methods' publications as BibTeX")


def run(given: argparse.Namespace) -> None:
    """Print methods with their knobs and the choices of conf/, from the files that define them. Raises InputError."""
    from harness import methods  # needs torch, which --help does not

    if given.bib and given.what not in (None, METHODS):
        raise InputError(f"--bib prints the publications of methods, {given.what} has none: leave it out")
    if given.bib:
        text = methods.bibliography()
    elif given.what == METHODS:
        text = "\n".join("".join(f"{line}\n" for line in _entry(name)) for name in _by_family())
    else:
        sections = {"methods=all or methods=[...]": {name: _method(name) for name in methods.names()}}
        chosen = {} if given.what else sections
        chosen |= {f"{group}=": choices(group) for group in GROUPS if given.what in (None, group)}
        text = "\n".join(_section(title, lines) for title, lines in chosen.items())
    sys.stdout.write(text)


def _section(title: str, lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    return f"{title}\n" + "".join(f"  {name:<{width}}  {about}\n" for name, about in lines.items())


def _by_family() -> list[str]:
    """List the methods by family, those that cannot be run last."""
    from harness import methods

    facts = {name: methods.facts(name) for name in methods.names()}
    return sorted(facts, key=lambda name: (bool(facts[name]["not_runnable"]), facts[name]["family"], name))


def _entry(name: str) -> Iterator[str]:
    """Write what is known of a method, a line each."""
    from harness import methods

    cls, family = methods.find(name), methods.facts(name)["family"]
    about = cls.about
    year = f", {about.paper.year}" if about.paper else ""
    yield f"{name}: {about.title} ({family}{year})"
    yield f"  does    {_summary(cls)}"
    if about.paper:
        yield f"  source  {about.paper.title}. {about.paper.cite}"
    yield f"  knobs   {_knobs(cls) or 'none'}"
    yield f"  needs   {_needs(name)}"
    if about.note:
        yield f"  note    {about.note}"
    if about.not_runnable:
        yield f"  not runnable: {about.not_runnable}"


def _method(name: str) -> str:
    """Write a method's title, knobs, summary and source in a line."""
    from harness import methods

    cls = methods.find(name)
    source = f" [{cls.about.paper.cite}]" if cls.about.paper else ""
    note = f" Note: {cls.about.note}." if cls.about.note else ""
    note += f" Not runnable: {cls.about.not_runnable}." if cls.about.not_runnable else ""
    return f"{cls.about.title} ({_knobs(cls)}): {_summary(cls)}{note}{source}"


def _summary(cls: Any) -> str:
    return (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")


def _knobs(cls: Any) -> str:
    """Write knobs with their defaults; one without is left to the solver."""
    from harness import methods

    knobs = methods.knobs(cls).items()
    return ", ".join(knob if default is dataclasses.MISSING else f"{knob}={default}" for knob, default in knobs)


def _needs(name: str) -> str:
    """Write what a method needs besides the cache by its defaults, and what it needs more with one knob changed."""
    from harness import methods

    made = _example(name)
    more: dict[str, list[str]] = {}
    for knob, kind in typing.get_type_hints(methods.find(name)).items():
        for value in _choices(kind) if knob in methods.knobs(type(made)) else ():
            with contextlib.suppress(InputError):
                changed = dataclasses.replace(made, **{knob: value})
                for need in sorted(changed.needs - made.needs):
                    more.setdefault(NEEDS[need], []).append(f"{knob}={value}")
    own = " and ".join(NEEDS[need] for need in sorted(made.needs)) or "nothing besides the cache"
    return own + "".join(f"; with {' or '.join(knobs)} {need}" for need, knobs in more.items())


def _example(name: str) -> Method[Any]:
    """Make a method of its defaults; knobs that are left to the solver take a value that their types admit."""
    from harness import methods

    cls: Any = methods.find(name)
    kinds = typing.get_type_hints(cls)
    admitted = {
        knob: next(v for v in (64, 8, 1, 0.5, *_choices(kinds[knob])) if not methods.wanted(cls, knob, v))
        for knob in methods.open_knobs(name, {})
    }
    made: Method[Any] = cls(**admitted)
    return made


def _choices(kind: Any) -> tuple[Any, ...]:
    """List the values of a knob's type that has a few."""
    if kind is bool:
        return (False, True)
    inner = typing.get_args(kind)
    if typing.get_origin(kind) is Literal:
        return inner
    return tuple(value for part in inner for value in _choices(part))
