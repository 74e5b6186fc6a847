"""Checks that the knobs of a method mean something."""

from __future__ import annotations

from harness.errors import InputError


def check_integers(method: object, **least: int) -> None:
    """Raise InputError unless each named knob of a method is None or an integer of at least the given value."""
    for knob, low in least.items():
        value = getattr(method, knob)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < low):
            raise InputError(f"{type(method).__name__} needs {knob} as an integer of at least {low}, not {value!r}")


def check_switches(method: object, *knobs: str) -> None:
    """Raise InputError unless each named knob of a method is true or false."""
    for knob in knobs:
        value = getattr(method, knob)
        if not isinstance(value, bool):
            raise InputError(f"{type(method).__name__} needs {knob} as true or false, not {value!r}")
