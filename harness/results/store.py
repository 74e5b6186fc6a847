"""Append-only raw outputs of a run, and what is already there when it starts again."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from filelock import FileLock, Timeout

from harness.errors import InputError


@dataclass(frozen=True)
class Record:
    """What one cell made of one unit of work. nll in nats per token; seconds is its share of the decoding time."""

    unit: str
    cell: str
    example: str
    tokens: list[int]
    nll: list[float]
    greedy: bool
    active: bool
    seconds: float
    prompt_tokens: int
    text: str = ""


class Store:
    """The folder of one run, held by one process at a time.

    outputs.jsonl grows by one line per unit and cell, as they come; a line that a crash tore is ignored and its work
    done again. run.json says what the run is.
    """

    def __init__(self, folder: Path, key: str) -> None:
        self.folder = folder
        self._key = key
        self._lock = FileLock(folder / ".lock", timeout=0)

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            self._lock.acquire()
        except Timeout:
            raise InputError(
                f"another run is writing to {self.folder}: wait for it, or choose results=FOLDER"
            ) from None
        self._check_key()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release()

    def records(self) -> dict[tuple[str, str], Record]:
        """Every whole record by (unit, cell); the latest wins."""
        found = (Record(**line) for line in read_lines(self.folder / "outputs.jsonl"))
        return {(record.unit, record.cell): record for record in found}

    def append(self, records: Iterable[Record]) -> None:
        """Write records so that they survive the process."""
        append_lines(self.folder / "outputs.jsonl", (dataclasses.asdict(record) for record in records))

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write run.json whole."""
        text = json.dumps({"key": self._key, **description}, indent=2, sort_keys=True, default=str)
        write_whole(self.folder / "run.json", text + "\n")

    def _check_key(self) -> None:
        there = self.folder / "run.json"
        if there.exists() and json.loads(there.read_text()).get("key") != self._key:
            raise InputError(f"{self.folder} holds results of another run: move it away, or choose results=FOLDER")


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


def append_lines(file: Path, values: Iterable[Mapping[str, Any]]) -> None:
    """Append JSON lines in one write and wait for the disk; a torn last line is closed off first."""
    text = "".join(json.dumps(value) + "\n" for value in values)
    with file.open("ab+") as stream:
        if stream.tell() > 0:
            stream.seek(-1, os.SEEK_END)
            if stream.read(1) != b"\n":
                text = "\n" + text
        stream.write(text.encode())
        stream.flush()
        os.fsync(stream.fileno())


def write_whole(file: Path, text: str) -> None:
    """Replace a file so that readers see the old or the new one, never half."""
    partial = file.with_name(f".{file.name}.{os.getpid()}")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
