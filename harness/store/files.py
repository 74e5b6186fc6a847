"""Files that survive a crash: lines appended in one piece, whole files replaced, a full disk told in one sentence."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness.errors import RunError

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def read_lines(file: Path) -> Iterator[dict[str, Any]]:
    """The whole JSON objects of a file of lines, without those that were torn."""
    if not file.exists():
        return
    with file.open("rb") as stream:
        for line in stream:
            try:
                value = json.loads(line)
            except ValueError:
                continue
            if isinstance(value, dict):
                yield value


def read_json(file: Path) -> dict[str, Any]:
    """The object of a JSON file; empty if the file is missing or torn."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def append_lines(file: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines in one write and wait for the disk; a torn last line is closed off first.

    Raises RunError when the disk is full; the file is then as long as before.
    """
    text = "".join(json.dumps(value) + "\n" for value in values).encode()
    with full_disk_told(file), file.open("ab+", buffering=0) as stream:
        before = stream.seek(0, os.SEEK_END)
        if before:
            stream.seek(-1, os.SEEK_END)
            text = text if stream.read(1) == b"\n" else b"\n" + text
        try:
            _write_all(stream.fileno(), text)
            os.fsync(stream.fileno())
        except BaseException:
            stream.truncate(before)
            raise


def write_whole(file: Path, text: str) -> None:
    """Replace a file so that readers see the old or the new one, never half. Raises RunError when the disk is full."""
    with replacing(file) as partial:
        partial.write_text(text, encoding="utf-8")


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """A path to write to; it takes the file's place when all went well, and leaves no trace otherwise."""
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with full_disk_told(file):
            yield partial
            _sync(partial)
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def full_disk_told(file: Path) -> Iterator[None]:
    """Turn the operating system's error for a full disk or quota into a RunError."""
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        raise RunError(
            f"the disk of {file.parent} is full: what was finished is kept; free some space and run the same command "
            "again"
        ) from None


def _write_all(descriptor: int, data: bytes) -> None:
    """One write in all but the rarest case; a short one is gone on with, and then says why it was short."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _sync(file: Path) -> None:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
