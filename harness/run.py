"""Fill the gaps of a grid: every missing (unit, cell) is computed once, in batches that share their prefill."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

from harness.config import EngineSpec
from harness.engine import Answer, Engine
from harness.errors import RunError
from harness.plan import Cell
from harness.requests import Encoder, Unit
from harness.results.store import Record, Store

Done = dict[tuple[str, str], Record]


def missing(units: Sequence[Unit], cells: Sequence[Cell], done: Done) -> dict[tuple[int, ...], list[Unit]]:
    """Units by the indices of the cells that they still lack; complete units are left out."""
    gaps: dict[tuple[int, ...], list[Unit]] = defaultdict(list)
    for unit in units:
        lacking = tuple(i for i, cell in enumerate(cells) if (unit.key, cell.id) not in done)
        if lacking:
            gaps[lacking].append(unit)
    return dict(gaps)


def batches(units: Sequence[Unit], cells: int, spec: EngineSpec) -> Iterator[list[Unit]]:
    """Units of one kind and similar length, as many as the token budget holds, the longest first."""
    for forced in (False, True):
        kind = [unit for unit in units if (unit.work.forced is not None) is forced]
        batch: list[Unit] = []
        for unit in sorted(kind, key=lambda u: (-len(u.work.prompt), u.key)):
            if batch and not _fits([*batch, unit], cells, spec):
                yield batch
                batch = []
            batch.append(unit)
        if batch:
            yield batch


def execute(
    engine: Engine,
    gaps: dict[tuple[int, ...], list[Unit]],
    cells: Sequence[Cell],
    encoder: Encoder,
    spec: EngineSpec,
    store: Store,
    advance: Callable[[int], None],
) -> None:
    """Compute and store what is missing; `advance` is told the example runs of each finished batch."""
    for lacking, units in gaps.items():
        chosen = [cells[i] for i in lacking]
        for batch in batches(units, len(chosen), spec):
            store.append(compute(engine, batch, chosen, encoder))
            advance(len(batch) * len(chosen))


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
    active = {record.cell for record in records if record.active}
    for cell in cells:
        if not cell.method.lossless and cell.id not in active:
            raise RunError(
                f"cell {cell.id} ({cell.params}) is inert: it never changed an attention output, so its scores are "
                "dense scores. Use longer prompts, a higher ratio, or a task that decodes more than one token"
            )


def _fits(batch: Sequence[Unit], cells: int, spec: EngineSpec) -> bool:
    longest = max(len(unit.work.prompt) for unit in batch)
    steps = max(unit.work.steps for unit in batch)
    within_size = spec.batch_size is None or len(batch) <= spec.batch_size
    return within_size and len(batch) * (longest + cells * steps) <= spec.batch_tokens


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
