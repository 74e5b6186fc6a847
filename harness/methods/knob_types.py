"""Defines types of knobs: a type says which values mean something, and nothing else has to check them."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal

from harness.errors import InputError


@dataclasses.dataclass(frozen=True)
class AtLeast:
    """Holds the smallest value that a number may have."""

    value: int


@dataclasses.dataclass(frozen=True)
class Is:
    """Holds what a value has to be, in words and as a test of values of some types; true and false are no numbers."""

    words: str
    fits: Callable[[Any], bool]
    types: tuple[type, ...] = (int, float)

    def admits(self, value: object) -> bool:
        """Return True if the value is of one of the types and fits."""
        return isinstance(value, self.types) and not isinstance(value, bool) and self.fits(value)


@dataclasses.dataclass(frozen=True)
class Within:
    """Names the knob that a number is a part of, and how much of that has to be left over."""

    knob: str
    left: int = 0


@dataclasses.dataclass(frozen=True)
class Later:
    """Marks a knob that came after results were kept: at its default it says nothing, and cells are named without."""


@dataclasses.dataclass(frozen=True)
class SolvedWhere:
    """Marks a knob that is null by default: a ratio solves it where another knob has a value, elsewhere it has none."""

    knob: str
    value: object


Size = Annotated[int, AtLeast(1)]
"""Counts what is kept or read: none of it is no method."""
Count = Annotated[int, AtLeast(0)]
"""Counts what there may be none of."""
Local = Annotated[int, AtLeast(0), Within("k")]
"""Counts the newest tokens that are always kept, of k."""
Initial = Annotated[int, AtLeast(0), Within("k", left=1)]
"""Counts the oldest tokens that are always kept, of a k that the newest token counts in too."""

Share = Annotated[float, Is("a share above 0, at most 1", lambda value: 0 < value <= 1)]
"""Holds a part of a whole that may not be nothing."""
Fraction = Annotated[float, Is("a number of 0 to 1", lambda value: 0 <= value <= 1)]
"""Holds a part of a whole that may be nothing."""
Positive = Annotated[float, Is("a number above 0", lambda value: 0 < value < float("inf"))]
"""Holds a number without which nothing would be left."""
Amount = Annotated[float, Is("a number of at least 0", lambda value: 0 <= value < float("inf"))]
"""Holds a number that nothing is taken away by."""
Odd = Annotated[int, Is("an odd number of at least 1", lambda value: value >= 1 and value % 2 == 1, (int,))]
"""Counts neighbours around a middle, which is one of them: 1 is the middle alone."""

Ceiling = Annotated[int, AtLeast(1), Later()] | Annotated[Literal["local"], Later()]
"""Holds the distance at which first tokens are seen: a number, or that of the nearest token which is not kept."""
Positions = Annotated[Literal["absolute", "cache"], Later()]
"""Says what positions count: a text's tokens, or those that are still cached."""

PageTokens = Annotated[int, AtLeast(1), Later()]
"""Counts the tokens of a page that is read whole, in a method that had none at first: 1 is no page."""


def later(cls: Any, knob: str) -> bool:
    """Return True if cells are named without the knob where it has its default."""
    return any(isinstance(extra, Later) for extra in _extras(_kinds(cls)[knob]))


def is_open(cls: Any, knob: str, given: Mapping[str, Any]) -> bool:
    """Return True if a method needs the knob beside those that are given, so that a ratio solves it."""
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    where = [extra for extra in _extras(_kinds(cls)[knob]) if isinstance(extra, SolvedWhere)]
    needed = defaults[knob] is dataclasses.MISSING
    needed = needed or any({**defaults, **given}[extra.knob] == extra.value for extra in where)
    return needed and knob not in given


def least(cls: Any, knob: str) -> int | None:
    """Return the smallest value that a knob of a method may have; None if its type has no bound."""
    found = (extra.value for extra in _extras(_kinds(cls)[knob]) if isinstance(extra, AtLeast))
    return next(found, None)


def wanted(cls: Any, knob: str, value: object) -> str:
    """Say in words what a knob of a method has to be where a value does not fit its type; "" where it does."""
    return _wanted(_kinds(cls)[knob], value)


def floor(cls: type[Any], knob: str, **fixed: Any) -> int:
    """Return the smallest value that a knob may have beside others, which are fixed or have their defaults."""
    defaults = {field.name: field.default for field in dataclasses.fields(cls)}
    found = [least(cls, knob) or 0]
    for other, within in _parts(cls):
        value = fixed.get(other, defaults[other])
        if within.knob == knob and isinstance(value, int):
            found.append(value + within.left)
    return max(found)


def check_types(method: object) -> None:
    """Raise InputError for a knob of a method whose value is none of its type's, or more than it is to be a part of.

    Null fits where the type has None.
    """
    cls: Any = type(method)
    for knob, kind in _kinds(cls).items():
        value = getattr(method, knob)
        wanted = _wanted(kind, value)
        if wanted:
            raise InputError(f"{cls.__name__} needs {knob} as {wanted}, not {value!r}")
    for knob, within in _parts(cls):
        part, whole = getattr(method, knob), getattr(method, within.knob)
        if isinstance(part, int) and part > whole - within.left:
            most = f"{within.knob} - {within.left}" if within.left else within.knob
            raise InputError(f"{cls.__name__} needs {knob} of at most {most} = {whole - within.left}, not {part}")


def quarter(k: int, local: int | None) -> int:
    """Return how many of the newest tokens are always kept: `local`, or a quarter of k as in the SparQ paper."""
    return k // 4 if local is None else local


def layer_seed(seed: int, layer: int, apart: int = 1_000_003) -> int:
    """Combine a method's seed with a layer's number; two seeds share no layer's draws below `apart` layers."""
    return seed * apart + layer


@cache
def _kinds(cls: Any) -> dict[str, Any]:
    """Return the type of each knob of a method, annotations included."""
    hints = typing.get_type_hints(cls, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(cls)}


def _parts(cls: Any) -> Iterator[tuple[str, Within]]:
    """List the knobs that are parts of others."""
    for knob, kind in _kinds(cls).items():
        yield from ((knob, extra) for extra in _extras(kind) if isinstance(extra, Within))


def _extras(kind: Any) -> Iterator[Any]:
    """List the annotations of a type and of its alternatives."""
    yield from getattr(kind, "__metadata__", ())
    for part in typing.get_args(kind):
        yield from _extras(part)


def _wanted(kind: Any, value: Any) -> str:
    """Say what a knob has to be where the value is not; "" where it fits, or for types that are not checked here."""
    options, origin = typing.get_args(kind), typing.get_origin(kind)
    if origin in {typing.Union, UnionType}:
        wants = [_wanted(option, value) for option in options if option is not NoneType]
        return "" if "" in wants or (value is None and NoneType in options) else " or ".join(wants)
    if origin is Annotated:
        return _wanted_of(options[0], kind.__metadata__, value)
    if origin is Literal:
        return "" if value in options else " or ".join(map(str, options))
    return "" if kind is not bool or isinstance(value, bool) else "true or false"


def _wanted_of(kind: Any, extras: Sequence[Any], value: Any) -> str:
    """Say the same of a type with annotations."""
    tests = [extra for extra in extras if isinstance(extra, Is)]
    if tests:
        return next((test.words for test in tests if not test.admits(value)), "")
    low = next((extra.value for extra in extras if isinstance(extra, AtLeast)), None)
    if low is None:
        return _wanted(kind, value)
    fits = isinstance(value, kind) and not isinstance(value, bool) and value >= low
    return "" if fits else f"an integer of at least {low}"
