"""Checks that plain data are of the right kind, or says in a sentence what kind that is."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, Literal, Union, get_args, get_origin

from harness.errors import InputError

WORDS = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", type(None): "null"}


def build(cls: Any, settings: Any, where: str) -> Any:
    """Make a dataclass of a mapping. Raises InputError for an unknown key, a missing one or a value of a wrong kind."""
    given = typed(where, settings, Mapping[str, Any])
    kinds = typing.get_type_hints(cls)
    known = {field.name: kinds[field.name] for field in dataclasses.fields(cls)}
    check_known(given, known, f"{where}.")
    for field in dataclasses.fields(cls):
        if field.name not in given and field.default is field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}.{field.name} is missing")
    return cls(**{key: typed(f"{where}.{key}", value, known[key]) for key, value in given.items()})


def check_known(given: Iterable[str], known: Iterable[str], where: str = "", hint: str = "") -> None:
    """Raise InputError for a key that nothing reads; `where` stands before each, `hint` says what else it may be."""
    choice = sorted(known)
    for key in given:
        if key not in choice:
            instead = f"choose from {', '.join(choice)}" if choice else "there is none"
            raise InputError(f"unknown key {where}{key}, which nothing reads: {hint or instead}")


def typed(name: str, value: Any, kind: Any) -> Any:
    """Return the value if it is of a kind. Raises InputError if not.

    Kinds are int, float, str, bool, None, Literal, Any, and lists, mappings and unions of them. A whole number is a
    number too; true is neither.
    """
    if not _is(value, kind):
        raise InputError(f"{name}={value!r} must be {_words(kind)}")
    return value


def _is(value: Any, kind: Any) -> bool:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return any(_is(value, one) for one in inner)
    if origin is Literal:
        return value in inner
    if origin is list:
        return isinstance(value, list) and all(_is(item, inner[0]) for item in value)
    if origin is not None:
        return isinstance(value, Mapping) and all(_is(item, inner[1]) for item in value.values())
    plain = {int: int, float: int | float}.get(kind)
    if plain is not None:
        return isinstance(value, plain) and not isinstance(value, bool)
    return kind is Any or isinstance(value, kind)


def _words(kind: Any) -> str:
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return " or ".join(_words(one) for one in inner)
    if origin is Literal:
        return f"{'one of ' if len(inner) > 1 else ''}{', '.join(map(str, inner))}"
    if origin is list:
        return f"a list, such as [...], each item {_words(inner[0])}"
    return WORDS.get(kind, "a mapping of names to values")
