"""Checks names that files, tables and spreadsheets will carry, and where results may go."""

from __future__ import annotations

import errno
import re
import tempfile
from pathlib import Path

from harness.errors import InputError

LONGEST_NAME = 100
LONGEST_PART = 60
"""Bytes of a name within a folder's name: file systems take 255 of all of it."""
FORMULA = re.compile(r"\s*[=+\-@]")
"""Matches how a formula begins for spreadsheets."""


def check_name(key: str, name: str) -> None:
    """Raise InputError for a name that a file, a table or a spreadsheet could not carry as it is."""
    if not name.strip():
        raise InputError(f"{key} is empty: give it a name")
    if len(name) > LONGEST_NAME:
        raise InputError(f"{key}={name} has {len(name)} characters: use at most {LONGEST_NAME}")
    if not name.isprintable():
        raise InputError(f"{key}={name} holds characters that do not print: use letters, digits, '-', '_' and '.'")
    if FORMULA.match(name):
        raise InputError(f"{key}={name} would be a formula in a spreadsheet: begin it with a letter or digit")


def folder_part(name: str) -> str:
    """Return a name as a part of a folder's name: letters, digits, '.', '-' and '_', LONGEST_PART bytes at most."""
    kept = re.sub(r"[^\w.-]+", "_", name).encode()[:LONGEST_PART]
    return kept.decode(errors="ignore")


def check_writable(key: str, folder: Path) -> None:
    """Raise InputError where a folder, or what of its path is there, takes no files. Creates nothing that stays.

    A full disk is left to whoever writes, who can say what was kept.
    """
    try:
        with tempfile.TemporaryFile(dir=_deepest_there(folder.absolute())):
            return
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            return
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{key}={folder} cannot be written to ({why}): choose another folder") from None


def _deepest_there(folder: Path) -> Path:
    """Return the folder, or the first above it that exists. Raises what the system says of a path that cannot be."""
    try:
        folder.stat()
    except FileNotFoundError:
        return _deepest_there(folder.parent)
    return folder
