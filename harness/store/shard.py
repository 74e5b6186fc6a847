"""Divides a job's work, so that several processes or machines can do one job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.errors import InputError

T = TypeVar("T")


@dataclass(frozen=True)
class Shard:
    """Names share `index` of `count`, counted from 0. Raises InputError for a share that cannot be."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise InputError(f"shards={self.count} must be at least 1")
        if not 0 <= self.index < self.count:
            raise InputError(f"shard={self.index} is none of shards={self.count}: they are 0 to {self.count - 1}")

    @property
    def suffix(self) -> str:
        """Return what tells this share's files from the others'; empty for the whole."""
        return "" if self.count == 1 else f".{self.index}of{self.count}"

    def share(self, batches: Sequence[T]) -> list[T]:
        """Take every count-th batch. Batches stay whole, so each is computed exactly as a serial run would."""
        return list(batches[self.index :: self.count])


WHOLE = Shard()
