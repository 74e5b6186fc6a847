"""Checks that no argument of the command line makes the configuration construct an object of its choice."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import InputError

ALLOWED = ("hydra._internal.", "hydra.core.", "hydra_plugins.", "harness.")
"""What `_target_` may name: Hydra's own launchers and sweepers, those of its plugins, and ours."""
_FOLDERS = ("--config-dir", "-cd", "--config-path", "-cp")
_TARGET = re.compile(r"""_target_["']?\s*[:=]\s*["']?([\w.]*)""")
_LOGGING = re.compile(r"^[+~]*hydra\.(job|hydra)_logging\..*(\(\)|class|ext:)")


def check_constructs_nothing(arguments: Sequence[str]) -> None:
    """Raise InputError for a `_target_` outside the allow-list, in an argument or in a folder of configuration."""
    for argument in arguments:
        if _LOGGING.search(argument):
            raise InputError(f"{argument!r}: logging handlers cannot be chosen here")
        _check(argument, repr(argument))
    for folder in _folders(arguments):
        for file in sorted(folder.rglob("*.yaml")):
            _check(file.read_text(encoding="utf-8", errors="replace"), str(file))


def _check(text: str, where: str) -> None:
    targets = [found[1] for found in _TARGET.finditer(text)]
    if len(targets) < text.count("_target_"):
        targets.append("")  # written in a way that is not understood here
    for target in targets:
        if not target.startswith(ALLOWED):
            raise InputError(f"{where}: _target_ may not name '{target}', only what begins with {', '.join(ALLOWED)}")


def _folders(arguments: Sequence[str]) -> Iterator[Path]:
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        name, _, value = argument.partition("=")
        if name in _FOLDERS:
            yield Path(value or following)
        if name.lstrip("+") == "hydra.searchpath":
            yield from (Path(found.removeprefix("file://")) for found in re.findall(r"[^\[\],'\" ]+", value))
