"""Makes dataclasses of JSON objects whose fields are checked by the types that the dataclass declares."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import MISSING, dataclass
from functools import partial
from typing import Any, Generic, Literal, NamedTuple, TypeVar, cast

from harness.store.plain import UnreadableError

T = TypeVar("T")
LARGEST = 1 << 53
"""Of whole numbers: beyond it a table holds no other than even ones."""
LONGEST_NAME = 4096
"""Characters of a text that names something."""
Name = typing.Annotated[str, LONGEST_NAME]
"""A text of 1 to 4096 characters."""


class Kind(NamedTuple):
    """Says what a value must be: a check, and the words for it."""

    holds: Callable[[Any], bool]
    words: str


class _Field(NamedTuple):
    """Holds what a field must be, the schema of an object that stands in it, and if it has no default."""

    name: str
    holds: Callable[[Any], bool]
    words: str
    required: bool
    inner: Schema[Any] | None = None


@dataclass(frozen=True)
class Schema(Generic[T]):
    """Holds what the fields of a dataclass must be.

    Types are str, int, float, bool, Any and Name, words, lists and mappings of them, and a dataclass, or None. Numbers
    are finite, whole ones at most LARGEST, texts can be written as UTF-8. Null stands for the default.
    """

    make: Callable[..., T]
    fields: tuple[_Field, ...]
    known: frozenset[str]

    @classmethod
    def of(cls, kind: type[T], also: Collection[str] = ()) -> Schema[T]:
        """Read the types of a dataclass; objects have fields that are known beside its own."""
        hints = typing.get_type_hints(kind, include_extras=True)
        made = tuple(_field(field, hints[field.name]) for field in dataclasses.fields(cast("Any", kind)))
        return cls(kind, made, frozenset(hints).union(also))

    def read(self, found: Mapping[str, Any]) -> T:
        """Make the dataclass of an object, whose further fields are passed over.

        Raises UnreadableError, naming a field.
        """
        values: dict[str, Any] = {}
        for name, holds, words, required, inner in self.fields:
            value: Any = found.get(name)
            if value is None and not required:
                continue
            if not holds(value):
                raise UnreadableError(f"{name} is not {words}" if name in found else f"{name} is missing")
            values[name] = value if inner is None else inner.read(value)
        try:
            return self.make(**values)
        except ValueError as error:
            raise UnreadableError(str(error)) from None

    def sift(self, found: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
        """Return the fields of an object that are as they must be, and what is wrong with each other one."""
        values: dict[str, Any] = {}
        faults = []
        for field in self.fields:
            try:
                values |= Schema(dict, (field,), self.known).read(found)
            except UnreadableError as error:
                faults.append(str(error))
        return values, faults


def _field(field: dataclasses.Field[Any], kind: Any) -> _Field:
    required = field.default is MISSING and field.default_factory is MISSING
    own = next((one for one in _members(kind) if dataclasses.is_dataclass(one)), None)
    check = Kind(_is_object, "an object") if own else _kind(kind)
    return _Field(field.name, check.holds, check.words, required, Schema.of(own) if isinstance(own, type) else None)


def _members(kind: Any) -> tuple[Any, ...]:
    """List the kinds that a union allows, None apart; any other kind is its only member."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return tuple(one for one in typing.get_args(kind) if one is not types.NoneType) if union else (kind,)


def _kind(kind: Any) -> Kind:
    """Return the check of a type. None is judged before, as the default."""
    members = [_PLAIN.get(one) or _made(one) for one in _members(kind)]
    if len(members) == 1:
        return members[0]
    return Kind(lambda value: any(one.holds(value) for one in members), " or ".join(one.words for one in members))


def _made(kind: Any) -> Kind:
    """Return the check of a list or mapping, or of some words."""
    if typing.get_origin(kind) is Literal:
        return Kind(typing.get_args(kind).__contains__, f"one of {', '.join(typing.get_args(kind))}")
    (*_, inner) = (_kind(one) for one in typing.get_args(kind))
    if typing.get_origin(kind) is list:
        return Kind(_LISTS.get(inner.holds) or partial(_is_list, inner.holds), f"a list, each item {inner.words}")
    return Kind(partial(_is_mapping, inner.holds), f"an object, each value {inner.words}")


def _is_text(value: Any) -> bool:
    """Say if a value is a text that a file can hold: half of a surrogate pair is none."""
    if not isinstance(value, str):
        return False
    try:
        return value.isascii() or bool(value.encode())
    except UnicodeEncodeError:
        return False


def _is_name(value: Any) -> bool:
    return _is_text(value) and 0 < len(value) <= LONGEST_NAME


def _is_whole(value: Any) -> bool:
    return type(value) is int and -LARGEST <= value <= LARGEST


def _is_number(value: Any) -> bool:
    return _is_whole(value) or (type(value) is float and math.isfinite(value))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(holds: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _is_list_of_wholes(value: Any) -> bool:
    if not isinstance(value, list) or not set(map(type, value)) <= {int}:
        return False
    return not value or (min(value) >= -LARGEST and max(value) <= LARGEST)


def _is_list_of_numbers(value: Any) -> bool:
    if not isinstance(value, list):
        return False
    return all(map(math.isfinite if set(map(type, value)) == {float} else _is_number, value))


def _is_mapping(holds: Callable[[Any], bool], value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_text, value)) and all(map(holds, value.values()))


_PLAIN = {
    str: Kind(_is_text, "a text"),
    Name: Kind(_is_name, f"a text of 1 to {LONGEST_NAME} characters"),
    int: Kind(_is_whole, "a whole number"),
    float: Kind(_is_number, "a finite number"),
    bool: Kind(lambda value: isinstance(value, bool), "true or false"),
    Any: Kind(lambda _: True, "anything"),
}
_LISTS: dict[Any, Callable[[Any], bool]] = {_is_whole: _is_list_of_wholes, _is_number: _is_list_of_numbers}
"""Faster checks of whole lists: a run has millions of tokens."""
