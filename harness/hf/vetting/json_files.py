"""Reads the JSON files of a model, and goes through what they say."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness.errors import InputError, first_line
from harness.strict_json import parse_object

MOST_BYTES = 2**26
"""Of a file. An index of a large model's weights has 2^23."""
MOST_LEVELS = 32
"""Of objects and lists inside each other."""


def read_object(name: str, file: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Links are followed: the hub's cache is made of them. Raises InputError, naming the model and the file, if it is too
    large, is not UTF-8, begins with a byte order mark, which not every library takes, or is no JSON of an object that
    all read alike.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        return parse_object(file.read_text(encoding="utf-8"), MOST_LEVELS)
    except (OSError, ValueError) as error:
        why = first_line(error)
    raise InputError(f"model '{name}': its {file.name} cannot be read ({why}): mend it or download it again")


def walk(found: Any) -> Iterator[tuple[int, str, Any]]:
    """Yield level, dotted key and value of everything inside a parsed value, without recursion."""
    pending: list[tuple[int, str, Any]] = [(0, "", found)]
    while pending:
        level, key, value = pending.pop()
        yield level, key, value
        if level <= MOST_LEVELS:
            pending += [(level + 1, f"{key}.{inner}".lstrip("."), one) for inner, one in _children(value)]


def _children(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
