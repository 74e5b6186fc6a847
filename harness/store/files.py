"""Reads and writes files that survive a crash and several processes: lines appended whole, files replaced, locks."""

from __future__ import annotations

import errno
import glob
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from harness.errors import InputError, RunError
from harness.store.shard import Shard

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def append_lines(file: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines in one write and wait for the disk; a torn last line is closed off first.

    Raises RunError when the disk is full; the file is then as long as before.
    """
    text = "".join(json.dumps(value) + "\n" for value in values).encode()
    with _full_disk_as_run_error(file), file.open("ab+", buffering=0) as stream:
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
    """Give a path to write to that takes the file's place when all went well and leaves no trace otherwise.

    Raises RunError when the disk is full.
    """
    partial = file.with_name(f".{file.name}.{os.getpid()}.partial")
    try:
        with _full_disk_as_run_error(file):
            yield partial
            with partial.open("rb") as stream:
                os.fsync(stream.fileno())
            partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)


def sweep_partials(files: Iterable[Path]) -> None:
    """Remove what processes that were killed while `replacing` these files have left beside them.

    To be called while holding the lock that all who write these files hold: then none of them is at it.
    """
    for file in files:
        for partial in file.parent.glob(f".{glob.escape(file.name)}.*.partial"):
            if partial.name.split(".")[-2].isdecimal() and not partial.is_dir():
                partial.unlink(missing_ok=True)


class Claim:
    """Holds the right to write a shard's files while the process lives: the system drops it when the process dies.

    One process holds a shard, and all of them have the same number of shards. A second lock, `exclusive`, is taken for
    moments, to write what the shards share.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self._folder = folder
        self._shard = shard
        self._mine = FileLock(folder / f".lock{shard.suffix}", timeout=0)
        self.exclusive = FileLock(folder / ".mutex")

    def files(self) -> list[Path]:
        """List the files that are locked, those of other shards that were there included."""
        return [Path(self._mine.lock_file), Path(self.exclusive.lock_file), *self._folder.glob(".lock*")]

    def take(self) -> None:
        """Take the shard. Raises InputError if another process holds it, or a shard of another number of shards."""
        with self.exclusive:
            if not _acquired(self._mine):
                raise self._taken()
            for file in self._folder.glob(".lock*"):
                if not file.name.endswith(f"of{self._shard.count}") and file.name != f".lock{self._shard.suffix}":
                    other = FileLock(file, timeout=0)
                    if not _acquired(other):
                        self._mine.release()
                        raise self._taken()
                    other.release()

    def release(self) -> None:
        """Let others write."""
        self._mine.release()

    def _taken(self) -> InputError:
        return InputError(f"another run is writing to {self._folder}: wait for it, or choose results=FOLDER")


def _acquired(lock: FileLock) -> bool:
    """Take the lock if it is free, and say whether it was."""
    try:
        lock.acquire()
    except Timeout:
        return False
    return True


@contextmanager
def _full_disk_as_run_error(file: Path) -> Iterator[None]:
    """Turn the operating system's error for a full disk or quota into a RunError."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise RunError(
            f"the disk of {file.parent} is full: what was finished is kept; free some space and run the same command "
            "again"
        ) from None


def _write_all(descriptor: int, data: bytes) -> None:
    """Write everything. A short write is followed by another, which then says why it was short."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
