"""Who may write to a run's folder: one process per shard, and all of them with the same number of shards."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock, Timeout

from harness.errors import InputError
from harness.store.shard import Shard


class Claim:
    """The right to write a shard's files, held while the process lives: the system drops it when the process dies.

    A second lock, `exclusive`, is taken for moments, to write what the shards share.
    """

    def __init__(self, folder: Path, shard: Shard) -> None:
        self._folder = folder
        self._shard = shard
        self._mine = FileLock(folder / f".lock{shard.suffix}", timeout=0)
        self.exclusive = FileLock(folder / ".mutex")

    def take(self) -> None:
        """Raises InputError if another process holds this shard, or any shard of another number of shards."""
        with self.exclusive:
            self._refuse_if(not _free(self._mine))
            for file in self._folder.glob(".lock*"):
                if not file.name.endswith(f"of{self._shard.count}") and file.name != f".lock{self._shard.suffix}":
                    other = FileLock(file, timeout=0)
                    self._refuse_if(not _free(other))
                    other.release()

    def release(self) -> None:
        """Let others write."""
        self._mine.release()

    def _refuse_if(self, taken: bool) -> None:
        if taken:
            self._mine.release()
            raise InputError(f"another run is writing to {self._folder}: wait for it, or choose results=FOLDER")


def _free(lock: FileLock) -> bool:
    """Take the lock if it is free."""
    try:
        lock.acquire()
    except Timeout:
        return False
    return True
