"""What can be named on the command line, one line each."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path

from harness import methods
from harness.paths import asset

GROUPS = ("model", "task", "data", "budget", "experiment")


def catalog() -> str:
    """Models, methods with their knobs, tasks, data, budgets and experiments, from the files that define them."""
    conf = asset("conf")
    groups = {group: [_line(file) for file in sorted((conf / group).glob("*.yaml"))] for group in GROUPS}
    sections = {"methods=[...]": [_method_line(name) for name in methods.names()]}
    sections |= {f"{group}=": lines for group, lines in groups.items()}
    return "\n".join(f"{title}\n" + "".join(f"  {line}\n" for line in lines) for title, lines in sections.items())


def _line(file: Path) -> str:
    comments = (line for line in file.read_text(encoding="utf-8").splitlines() if line.startswith("# "))
    told = next(line for line in comments if not line.startswith("# @package"))
    return f"{file.stem:<14} {told.removeprefix('# ')}"


def _method_line(name: str) -> str:
    cls = methods.find(name)
    knobs = ", ".join(
        knob if default is dataclasses.MISSING else f"{knob}={default}" for knob, default in methods.knobs(cls).items()
    )
    summary = (inspect.getdoc(cls) or "").split("\n\n")[0].replace("\n", " ")
    return f"{name:<14} ({knobs}) {summary}"
