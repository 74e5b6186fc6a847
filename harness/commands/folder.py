"""Says what of a further folder of configuration may be read: plain files of moderate size, values written out."""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import yaml

from harness.errors import InputError, first_line

MOST_FILES, MOST_BYTES = 1_000, 2**18
"""Of a folder, and of a file: those of conf/ are about a hundred, of some kilobytes."""
_SCANNER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def check_folder(folder: Path) -> None:
    """Raise InputError for a folder that is none, and for what in it would be waited for, or grow, without end."""
    if not folder.is_dir():
        raise InputError(f"--config-dir={folder} is no folder")
    found = [*itertools.islice(_files(folder), MOST_FILES + 1)]
    if len(found) > MOST_FILES:
        raise InputError(
            f"--config-dir={folder} holds more than {MOST_FILES} files and folders: name one of configuration"
        )
    for file in found:
        why = _found_wrong(file)
        if why:
            raise InputError(f"--config-dir={folder}: '{file}' {why}")


def _files(folder: Path) -> Iterator[Path]:
    """Yield every folder below, and what Hydra could take for a file; it follows links, which may go in circles."""
    for place, _, files in os.walk(folder, followlinks=True):
        yield Path(place)
        yield from (Path(place, name) for name in files if name.endswith(".yaml"))


def _found_wrong(file: Path) -> str | None:
    """Say what is wrong with a file and how to mend it; None if nothing is."""
    try:
        status = file.stat()
        if stat.S_ISDIR(status.st_mode):
            return None
        if not stat.S_ISREG(status.st_mode):
            return "is no plain file, but a pipe, a socket or a device: put a file in its place"
        if status.st_size > MOST_BYTES:
            return f"has {status.st_size:,} bytes, more than {MOST_BYTES:,}: no configuration is as large"
        if _repeats(file.read_bytes()):
            return (
                "uses a YAML alias (*name), which can grow without end: write the value out, or refer to it by ${...}"
            )
    except OSError as error:
        return f"cannot be read ({first_line(error)}): remove it"
    return None


def _repeats(content: bytes) -> bool:
    """Say if a text of YAML holds an alias. What is no YAML is left to Hydra to refuse."""
    try:
        return any(isinstance(token, yaml.AliasToken) for token in yaml.scan(content, Loader=_SCANNER))
    except (yaml.YAMLError, ValueError):
        return False
