"""Says how an argument KEY=VALUE is to be written so that the shell and Hydra take its value as it is meant."""

from __future__ import annotations

import re
import shlex

_NAME = r"[a-zA-Z_][\w-]*"
_PLACE = rf"{_NAME}(\.({_NAME}|0|[1-9]\d*))*"
_KEY = re.compile(rf"(\+\+?|~)?({_PLACE}|{_NAME}(/{_NAME})*(@{_PLACE})?)", re.ASCII)
"""What Hydra reads as a key of a value, or as a group of files with the place where one is put."""
_AMBIGUOUS = re.compile(r"^Ambiguous value for argument '(.*)'$")


def quoted(override: str) -> str:
    """Return the argument for a shell, with its value as a text between quotes of Hydra's own."""
    key, _, value = override.partition("=")
    text = re.sub(r'(\\*)("|$)', lambda found: found[1] * 2 + ('\\"' if found[2] else ""), value)
    return shlex.quote(f'{key}="{text}"')


def unreadable(override: str) -> str:
    """Say what is wrong with an argument that Hydra cannot read, and how to write it."""
    key, equals, value = override.partition("=")
    if equals and _KEY.fullmatch(key) and value and value[0] not in "[{" and value.isprintable():
        return f"{override}: Hydra reads more than a text in this value: write {quoted(override)}"
    items = "; in a list, texts with signs such as = # ~ ! have quotes of their own: 'x=[\"a=b\"]'"
    wanted = f"is no KEY=VALUE (quote what the shell would split or read: 'ratios=[2,4]'{items if value else ''})"
    return f"{override} {wanted}; see `harness run --help`"


def ambiguous(line: str) -> str | None:
    """Say how to write an argument with a comma, of which Hydra says that it is ambiguous; None for other lines."""
    found = _AMBIGUOUS.match(line)
    if found is None:
        return None
    key, _, value = found[1].partition("=")
    return (
        f"{found[1]}: for a text write {quoted(found[1])}, for a list '{key}=[{value}]', for a job of each value add -m"
    )
