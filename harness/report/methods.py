"""Finds what methods say of themselves without importing them (and torch): in run.json, else in their files."""

from __future__ import annotations

import ast
import zlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

import harness
from harness.report.names import DENSE

FILES = Path(harness.__file__).parent / "methods"
CONTROLS = "controls"
"""The family of methods whose choice is not paid for or not meant: drawn, but never marked as the best."""
FACTS = ("title", "family", "access", "rank")
"""Columns of a table of methods with their facts: how a method is called in print, its family, how it finds what it
reads (harness/methods/about.py), and its place within the family. An unknown method has the family ""."""

Line = Mapping[Any, Any] | pd.Series
"""A line of a table of methods."""


def with_facts(table: pd.DataFrame, recorded: Mapping[str, Mapping[str, Any]] = MappingProxyType({})) -> pd.DataFrame:
    """Add to a table with a column `method` the columns FACTS; what `recorded` says of a method goes first."""
    known = {**stated(), **recorded}
    family = {method: str(facts.get("family", "")) for method, facts in known.items()}
    ordered = sorted(known, key=str.casefold)
    peers = {name: [method for method in ordered if family[method] == name] for name in family.values()}
    rank = {method: peers[family[method]].index(method) for method in known}
    method = table["method"].astype(str)
    return table.assign(
        title=[str(known.get(name, {}).get("title", name)) for name in method],
        family=[family.get(name, "") for name in method],
        access=[str(known.get(name, {}).get("access", "")) for name in method],
        rank=[rank.get(name, zlib.crc32(name.encode())) for name in method],
    )


def is_control(methods: pd.DataFrame) -> pd.Series[bool]:
    """Return which lines are of controls; dense attention is none."""
    return (methods["family"] == CONTROLS) & (methods["method"] != DENSE)


def order(line: Line) -> tuple[bool, bool, bool, str, int, str]:
    """Return a key that sorts methods as they are listed: dense, those of each family, unknown ones, controls."""
    method, family = str(line["method"]), str(line["family"])
    return method != DENSE, family == CONTROLS, not family, family, int(line["rank"]), method


@cache
def stated() -> Mapping[str, Mapping[str, str]]:
    """Read title, access and family of every method of this version from its file."""
    files = sorted(FILES.glob("*/[!_]*.py"))
    return MappingProxyType({file.stem: {**_about(file), "family": file.parent.name} for file in files})


def notes() -> dict[str, Mapping[str, str]]:
    """Return the facts of methods of this version that differ from their publication."""
    return {name: facts for name, facts in stated().items() if facts.get("note")}


def families() -> list[str]:
    """List the families of this version, controls apart, in alphabetical order."""
    return sorted({facts["family"] for facts in stated().values()} - {CONTROLS})


def _about(file: Path) -> dict[str, str]:
    """Read the literals that a method's file gives to About."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "About")
    given = next(calls).keywords
    return {str(word.arg): str(word.value.value) for word in given if isinstance(word.value, ast.Constant)}
