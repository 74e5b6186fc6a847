"""What the files of a run hold: a record for each example run, and a failure for each that could not be finished."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.store.files import read_lines

Key = tuple[str, str]
"""(unit, cell) of an example run."""


@dataclass(frozen=True)
class Record:
    """What one cell made of one unit of work.

    nll in nats per token; seconds is its share of the decoding time, shared_seconds of everything else in its batch;
    launch names the line of launches.jsonl with the commit and versions that computed it.
    """

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
    shared_seconds: float = 0.0
    launch: str = ""


@dataclass(frozen=True)
class Failure:
    """An example run that could not be finished: one sentence, and the traceback for whoever mends it."""

    unit: str
    cell: str
    example: str
    error: str
    trace: str = ""


def stored_lines(folder: Path) -> Iterator[tuple[dict[str, Any], bool]]:
    """Records as they were written, of all shards, and whether the batch they were computed in is all there."""
    for file in sorted(folder.glob("outputs*.jsonl")):
        yield from _by_batch(line for line in read_lines(file) if "unit" in line and "cell" in line)


def stored_failures(folder: Path) -> Iterator[dict[str, Any]]:
    """Failures of the latest launch, of all shards."""
    for file in sorted(folder.glob("errors*.jsonl")):
        yield from read_lines(file)


def _by_batch(lines: Iterable[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bool]]:
    """Lines of one batch stand together, and each says of how many; those that do not say stand for themselves."""
    for batch, group in itertools.groupby(lines, lambda line: line.pop("batch", None)):
        held = list(group)
        whole = batch is None or len(held) == int(batch.partition("/")[2])
        yield from ((line, whole) for line in held)
