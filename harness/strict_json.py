"""Parses JSON objects in the one way in which every library understands them, whoever wrote them."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any


class RefusedJSONError(ValueError):
    """Says in a few words why a text that may be JSON is not taken."""


def parse_object(text: str, levels: int | None = None) -> dict[str, Any]:
    """Parse an object, of at most so many levels of objects and lists inside each other.

    Raises json.JSONDecodeError for what is no JSON, and RefusedJSONError for another value than an object, for more
    levels, numbers of thousands of digits, or a key that is named twice, of which some libraries would take the first
    and others the last.
    """
    too_deep = "it is nested too deeply" if levels is None else f"it has more than {levels} levels"
    try:
        found = json.loads(text, object_pairs_hook=_without_repetition)
    except (json.JSONDecodeError, RefusedJSONError):
        raise
    except ValueError:
        raise RefusedJSONError("it has a number of too many digits") from None
    except RecursionError:
        raise RefusedJSONError(too_deep) from None
    if not isinstance(found, dict):
        raise RefusedJSONError(f"it holds a {type(found).__name__} in place of an object")
    if levels is not None and _is_deeper(found, levels):
        raise RefusedJSONError(too_deep)
    return found


def _without_repetition(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """Return the object of these pairs. Raises RefusedJSONError for a key that is there twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        ((key, _),) = Counter(key for key, _ in pairs).most_common(1)
        raise RefusedJSONError(f"it names {key!r:.60} twice")
    return found


def _is_deeper(found: dict[str, Any], levels: int) -> bool:
    """Say if something lies inside more than so many objects and lists, without recursion."""
    level: list[Any] = [found]
    for _ in range(levels + 1):
        level = [inner for outer in level if isinstance(outer, dict | list) for inner in _inner(outer)]
    return bool(level)


def _inner(value: dict[str, Any] | list[Any]) -> Iterable[Any]:
    return value.values() if isinstance(value, dict) else value
