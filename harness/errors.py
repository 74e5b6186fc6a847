"""Defines the exceptions that speak to the user. What else escapes is our bug and keeps its traceback."""

from __future__ import annotations

from harness.text import printable


class InputError(ValueError):
    """Means that something the user asked for cannot be done; the message says what and names the fix. Exit code 2."""

    def __str__(self) -> str:
        """Return the message as one line, whatever names of the user's are quoted in it."""
        return printable(super().__str__())


class RunError(RuntimeError):
    """Means that a run could not be finished as asked; the message says why and what to do. Exit code 1."""

    def __str__(self) -> str:
        """Return the message as one line, whatever names of others are quoted in it."""
        return printable(super().__str__())


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, or its kind where it says nothing: errors of others are told so."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def is_panic(error: BaseException) -> bool:
    """Say if a library that is written in Rust broke down, which Python does not count among the exceptions."""
    return type(error).__name__ == "PanicException"
