"""Reads the JSON files of a model in the one way in which every library understands them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import InputError, first_line

MOST_BYTES = 2**26
"""Of a file. An index of a large model's weights has 2^23."""
MOST_LEVELS = 32
"""Of objects and lists inside each other."""


def read_object(name: str, file: Path) -> dict[str, Any]:
    """Read a file that holds one JSON object.

    Raises InputError, naming the model and the file, if it is too large or too deep, is not UTF-8 or not JSON, or
    names a key twice, of which some libraries would take the first and others the last.
    """
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        found = json.loads(file.read_text(encoding="utf-8"), object_pairs_hook=_without_repetition)
        if not isinstance(found, dict):
            raise ValueError(f"it holds a {type(found).__name__} in place of an object")
        if any(level > MOST_LEVELS for level, *_ in walk(found)):
            raise ValueError(f"it has more than {MOST_LEVELS} levels")
        return found
    except RecursionError:
        why = f"it has more than {MOST_LEVELS} levels"
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


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs. Raises ValueError for a key that is there twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"it names {key!r:.60} twice")
        found[key] = value
    return found
