"""Checks what Hydra itself does not: that arguments construct no object of their choice, and add no key of Hydra's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from harness.errors import InputError

ALLOWED = ("hydra._internal.", "hydra.core.", "hydra_plugins.", "harness.")
"""What `_target_` may name: Hydra's own launchers and sweepers, those of its plugins, and ours."""
OPEN = ("callbacks", "job.env_set", "launcher", "searchpath", "sweeper.params")
"""Where Hydra reads keys that are added with +; anywhere else below hydra it would take them, and read them nowhere."""
_FOLDERS = ("--config-dir", "-cd", "--config-path", "-cp")
_TARGET = re.compile(r"""_target_["']?\s*[:=]\s*["']?([\w.]*)""")
_ADDED = re.compile(r"^\++hydra\.(?P<key>[^=]*)")
_LOGGING = re.compile(r"^[+~]*hydra\.(job|hydra)_logging\..*(\(\)|class|ext:)")


def check_arguments(arguments: Sequence[str]) -> None:
    """Raise InputError for a `_target_` outside the allow-list, and for a key added to Hydra's own that nothing reads.

    Folders of configuration that arguments name are looked through too.
    """
    for argument in arguments:
        added = _ADDED.match(argument)
        if added and not f"{added['key']}.".startswith(tuple(f"{key}." for key in OPEN)):
            raise InputError(f"unknown key hydra.{added['key']}, which nothing reads: see `harness run --cfg hydra`")
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
