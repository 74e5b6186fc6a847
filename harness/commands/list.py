"""What can be named on the command line, one line each."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from pathlib import Path

from harness import methods
from harness.paths import asset

GROUPS = ("model", "task", "data", "budget", "experiment", "launcher")


def catalog() -> str:
    """Methods with their knobs and every choice of conf/, from the files that define them."""
    sections = {"methods=[...]": {name: _method(name) for name in methods.names()}}
    for group in GROUPS:
        files = sorted((asset("conf") / group).glob("*.yaml"))
        sections[f"{group}="] = {file.stem: _first_comment(file) for file in files}
    return "\n".join(_section(title, lines) for title, lines in sections.items())


def _section(title: str, lines: Mapping[str, str]) -> str:
    width = max(map(len, lines))
    return f"{title}\n" + "".join(f"  {name:<{width}}  {told}\n" for name, told in lines.items())


def _first_comment(file: Path) -> str:
    comments = (line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
    return next(line for line in comments if not line.startswith("# @package")).removeprefix("# ")


def _method(name: str) -> str:
    """Write a method's title, knobs, summary and source."""
    cls = methods.find(name)
    source = f" [{cls.about.paper.cite}]" if cls.about.paper else ""
    knobs = ", ".join(
        knob if default is dataclasses.MISSING else f"{knob}={default}" for knob, default in methods.knobs(cls).items()
    )
    summary = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    return f"{cls.about.title} ({knobs}): {summary}{source}"
