"""`harness list` tells what can be named on the command line, a line each."""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
from collections.abc import Mapping

from harness.commands.compose import GROUPS, choices
from harness.commands.parser import Parser

ABOUT = "List the models, methods with their knobs, tasks, data, budgets, experiments and launchers to choose from."
NOTE = """`harness run` takes a name as GROUP=NAME, such as task=squad, and methods as 'methods=[dense,sparq]', or all.
Knobs without a value here are solved for each of `ratios`; method.sparq.k=64 sets one.
"""


def add_arguments(parser: Parser) -> None:
    """Declare no argument."""
    parser.epilog = NOTE


def run(_: argparse.Namespace) -> None:
    """Print methods with their knobs and every choice of conf/, from the files that define them."""
    from harness import methods  # needs torch, which --help does not

    sections = {"methods=all or methods=[...]": {name: _method(name) for name in methods.names()}}
    sections |= {f"{group}=": choices(group) for group in GROUPS}
    sys.stdout.write("\n".join(_section(title, lines) for title, lines in sections.items()))


def _section(title: str, lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    return f"{title}\n" + "".join(f"  {name:<{width}}  {about}\n" for name, about in lines.items())


def _method(name: str) -> str:
    """Write a method's title, knobs, summary and source."""
    from harness import methods

    cls = methods.find(name)
    source = f" [{cls.about.paper.cite}]" if cls.about.paper else ""
    knobs = methods.knobs(cls).items()
    shown = (knob if default is dataclasses.MISSING else f"{knob}={default}" for knob, default in knobs)
    summary = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    note = f" Note: {cls.about.note}." if cls.about.note else ""
    note += f" Not runnable: {cls.about.not_runnable}." if cls.about.not_runnable else ""
    return f"{cls.about.title} ({', '.join(shown)}): {summary}{note}{source}"
