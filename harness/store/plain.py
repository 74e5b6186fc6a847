"""Reads files that somebody else may have made: regular ones only, of a bounded size, as strict JSON."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from harness import strict_json
from harness.errors import InputError

MOST_BYTES = 1 << 28
"""Of a file that is read whole. The run.json of a hundred thousand examples has a few million."""
LONGEST_LINE = 1 << 26
"""Bytes of a line; the record of a hundred thousand tokens has three million."""
DEEPEST = 64
"""Levels of a JSON value. What is written here has eight at the most."""
KINDS = ((stat.S_ISLNK, "a link"), (stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


class UnreadableError(ValueError):
    """Says in a few words why a file or a line of it cannot be used."""


class Line(NamedTuple):
    """Holds a line of a file; lines are counted from 1."""

    number: int
    text: bytes

    def found(self) -> dict[str, Any]:
        """Parse it. Raises UnreadableError if it is no JSON object."""
        return parse_object(self.text)


def every(_: bytes) -> bool:
    """Want every line."""
    return True


def open_plain(file: Path) -> BinaryIO:
    """Open a regular file to be read. Raises FileNotFoundError, and UnreadableError for whatever else stands there.

    A link is not followed: it may lead to a file that the folder's maker cannot read himself, or to an endless device.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = "a link" if error.errno == errno.ELOOP and file.is_symlink() else error.strerror
        raise UnreadableError(f"it is {reason}, not a file" if reason == "a link" else f"{reason}") from None
    mode = os.fstat(descriptor).st_mode
    if not stat.S_ISREG(mode):
        os.close(descriptor)
        raise UnreadableError(f"it is {_kind(mode)}, not a file")
    return os.fdopen(descriptor, "rb")


def read_whole(file: Path) -> bytes:
    """Read a regular file. Raises FileNotFoundError, and UnreadableError for what is none, or of too many bytes."""
    with open_plain(file) as stream:
        found = _read(stream)
    if len(found) > MOST_BYTES:
        raise UnreadableError(f"it has more than {MOST_BYTES >> 20} MiB")
    return found


def read_json(file: Path) -> dict[str, Any]:
    """Read the object of a JSON file. Raises FileNotFoundError, and UnreadableError for one that holds none."""
    return parse_shallow(read_whole(file))


def read_lines(file: Path, wanted: Callable[[bytes], bool] = every) -> Iterator[Line]:
    """Read the wanted lines of a file. A missing one has none. Raises UnreadableError for what is no file."""
    try:
        stream = open_plain(file)
    except FileNotFoundError:
        return
    with stream:
        yield from (Line(number, text) for number, text in enumerate(_bounded(stream), start=1) if wanted(text))


def parse_object(text: bytes | str, levels: int | None = None) -> dict[str, Any]:
    """Parse a JSON object, after a byte order mark too. Raises UnreadableError for all else."""
    try:
        return strict_json.parse_object(text if isinstance(text, str) else text.decode("utf-8-sig"), levels)
    except UnicodeDecodeError:
        raise UnreadableError("it is no UTF-8") from None
    except json.JSONDecodeError:
        raise UnreadableError("it is torn, or no JSON") from None
    except strict_json.RefusedJSONError as error:
        raise UnreadableError(str(error)) from None


def parse_shallow(text: bytes | str) -> dict[str, Any]:
    """Parse a JSON object that may be written again whole. Raises UnreadableError for more than DEEPEST levels."""
    return parse_object(text, DEEPEST)


def check_replaceable(files: Iterable[Path]) -> None:
    """Raise InputError unless each of the files is missing or a regular file, which may be written to and replaced."""
    for file in files:
        try:
            mode = os.lstat(file).st_mode
        except OSError:
            continue
        if not stat.S_ISREG(mode):
            raise InputError(f"{file} is {_kind(mode)}, not a file: move it away, or choose results=FOLDER")


def _bounded(stream: BinaryIO) -> Iterator[bytes]:
    """Yield a file's lines; of one that is too long the beginning, which is torn, and nothing of its rest."""
    whole = True
    for part in iter(partial(stream.readline, LONGEST_LINE), b""):
        if whole:
            yield part
        whole = part.endswith(b"\n")


def _read(stream: BinaryIO) -> bytes:
    try:
        return stream.read(MOST_BYTES + 1)
    except OSError as error:
        raise UnreadableError(f"{error.strerror}") from None


def _kind(mode: int) -> str:
    return next((words for is_it, words in KINDS if is_it(mode)), "a device")
