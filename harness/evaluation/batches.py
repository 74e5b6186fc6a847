"""The gaps of a grid and how they are filled: every missing (unit, cell) once, in batches that share their prefill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from harness.engine import Answer, Engine
from harness.errors import RunError
from harness.evaluation.requests import Encoder, Unit
from harness.methods.cell import Cell
from harness.store.records import Key, Record
from harness.store.shard import WHOLE, Shard

Done = dict[Key, Record]
T = TypeVar("T")
PLAIN_TOKENS = 24576
"""Of a batch where no device tells how much memory is free."""


@dataclass(frozen=True)
class Limits:
    """What bounds a batch: prompt and decoded tokens of all cells, padding included; and units, unless None."""

    tokens: int
    units: int | None = None

    def hold(self, units: int, each: int) -> bool:
        """Whether so many units of `each` tokens fit."""
        return (self.units is None or units <= self.units) and units * each <= self.tokens


@dataclass(frozen=True)
class Piece:
    """Units to be decoded together under some cells."""

    units: Sequence[Unit]
    cells: Sequence[Cell]

    @property
    def runs(self) -> int:
        """Example runs: units times cells."""
        return len(self.units) * len(self.cells)

    @property
    def tokens(self) -> int:
        """What bounds its memory: prompt and decoded tokens of all rows, padding included."""
        steps = max(unit.work.steps for unit in self.units)
        longest = max(len(unit.work.prompt) for unit in self.units)
        return len(self.units) * (longest + len(self.cells) * steps)

    def halves(self) -> list[Piece]:
        """Fewer units; then, of one unit, fewer cells; of one example run, none."""
        if len(self.units) > 1:
            return [Piece(part, self.cells) for part in _halves(self.units)]
        return [Piece(self.units, part) for part in _halves(self.cells)] if len(self.cells) > 1 else []


def work_left(
    units: Sequence[Unit], cells: Sequence[Cell], done: Collection[Key], limits: Limits, shard: Shard = WHOLE
) -> list[Piece]:
    """What a shard still has to compute.

    Batches are cut from all units first, then what is done is left out: a run that goes on, or that is shared out,
    puts the same rows side by side as one that runs through, which gives the same numbers to the bit.
    """
    planned = shard.share(list(batches(units, len(cells), limits)))
    return [piece for batch in planned for piece in _gaps(batch, cells, done)]


def batches(units: Sequence[Unit], cells: int, limits: Limits) -> Iterator[list[Unit]]:
    """Units of one kind and similar length, as many as the limits hold and at least one, the longest first."""
    distinct = list({unit.key: unit for unit in units}.values())
    for forced in (False, True):
        kind = [unit for unit in distinct if (unit.work.forced is not None) is forced]
        batch: list[Unit] = []
        steps = 0
        for unit in sorted(kind, key=lambda u: (-len(u.work.prompt), u.key)):
            steps = max(steps, unit.work.steps)
            if batch and not limits.hold(len(batch) + 1, len(batch[0].work.prompt) + cells * steps):
                yield batch
                batch, steps = [], unit.work.steps
            batch.append(unit)
        if batch:
            yield batch


def compute(engine: Engine, batch: Sequence[Unit], cells: Sequence[Cell], encoder: Encoder) -> list[Record]:
    """The records of one batch under some cells."""
    answers = engine.run([unit.work for unit in batch], [cell.method for cell in cells])
    return [
        _record(unit, cell, answer, encoder)
        for cell, of_cell in zip(cells, answers, strict=True)
        for unit, answer in zip(batch, of_cell, strict=True)
    ]


def refuse_inert(cells: Sequence[Cell], records: Iterable[Record]) -> None:
    """Raise RunError for a compressing cell whose method never changed an attention output: it measured nothing."""
    for cell in inert(cells, records):
        raise RunError(
            f"cell {cell.id} ({cell.params}) is inert: it never changed an attention output, so its scores are "
            "dense scores. Use longer prompts, a higher ratio, or a task that decodes more than one token"
        )


def inert(cells: Sequence[Cell], records: Iterable[Record]) -> list[Cell]:
    """Compressing cells whose method never changed an attention output in any record."""
    active = {record.cell for record in records if record.active}
    return [cell for cell in cells if not cell.method.is_dense and cell.id not in active]


def _gaps(batch: Sequence[Unit], cells: Sequence[Cell], done: Collection[Key]) -> list[Piece]:
    """The missing part of a batch: units that lack the same cells stay together."""
    gaps: dict[tuple[int, ...], list[Unit]] = defaultdict(list)
    for unit in batch:
        gaps[tuple(i for i, cell in enumerate(cells) if (unit.key, cell.id) not in done)].append(unit)
    return [Piece(units, [cells[i] for i in lacking]) for lacking, units in gaps.items() if lacking]


def _halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    middle = len(items) // 2
    return items[:middle], items[middle:]


def _record(unit: Unit, cell: Cell, answer: Answer, encoder: Encoder) -> Record:
    request = unit.request
    return Record(
        unit=unit.key,
        cell=cell.id,
        example=request.example,
        tokens=answer.tokens,
        nll=[round(value, 6) for value in answer.nll],
        greedy=all(answer.greedy),
        active=answer.active,
        seconds=round(answer.seconds, 6),
        prompt_tokens=len(unit.work.prompt),
        text=encoder.text(request, answer.tokens) if request.kind == "generate" else "",
    )
