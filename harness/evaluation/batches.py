"""Cuts prompts into batches that share their prefill, and finds what of a grid is missing: each run once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from harness.engine import Engine, Output
from harness.evaluation.prompts import Encoder, TaskPrompt
from harness.methods import Method
from harness.methods.cell import Cell
from harness.store.records import DivergenceRecord, Key, Record
from harness.store.shard import WHOLE, Shard

Done = dict[Key, Record]
T = TypeVar("T")
PLAIN_TOKENS = 24576
"""Tokens of a batch where no device says how much memory is free."""


@dataclass(frozen=True)
class Limits:
    """Bounds a batch: prompt and decoded tokens of all cells, padding included; and prompts, unless None."""

    tokens: int
    prompts: int | None = None

    def hold(self, prompts: int, each: int) -> bool:
        """Say if so many prompts of `each` tokens fit."""
        return (self.prompts is None or prompts <= self.prompts) and prompts * each <= self.tokens


@dataclass(frozen=True)
class MicroBatch:
    """Holds prompts that are decoded together under some cells."""

    prompts: Sequence[TaskPrompt]
    cells: Sequence[Cell]

    @property
    def runs(self) -> int:
        """Count the example runs: prompts times cells."""
        return len(self.prompts) * len(self.cells)

    @property
    def tokens(self) -> int:
        """Count prompt and decoded tokens of all rows, padding included, which bound its memory."""
        steps = max(prompt.steps for prompt in self.prompts)
        longest = max(len(prompt.tokens) for prompt in self.prompts)
        return len(self.prompts) * (longest + len(self.cells) * steps)

    def halves(self) -> list[MicroBatch]:
        """Split into fewer prompts; one prompt into fewer cells; a single example run not at all."""
        if len(self.prompts) > 1:
            return [MicroBatch(part, self.cells) for part in _halves(self.prompts)]
        return [MicroBatch(self.prompts, part) for part in _halves(self.cells)] if len(self.cells) > 1 else []


def work_left(
    prompts: Sequence[TaskPrompt], cells: Sequence[Cell], done: Collection[Key], limits: Limits, shard: Shard = WHOLE
) -> list[MicroBatch]:
    """List what a shard still has to compute.

    Batches are cut from all prompts first, then what is done is left out: a run that goes on, or that is shared out,
    puts the same rows side by side as one that runs through, which gives the same numbers to the bit.
    """
    planned = shard.share(list(batches(prompts, cells, limits)))
    return [micro_batch for batch in planned for micro_batch in _gaps(batch, cells, done)]


def batches(prompts: Sequence[TaskPrompt], cells: Sequence[Cell], limits: Limits) -> Iterator[list[TaskPrompt]]:
    """Cut prompts of one kind and similar length into batches, as large as the limits hold, the longest first.

    All prompts of a batch have equal knobs in each cell, also where knobs are solved at a prompt's own length.
    """
    distinct = list({prompt.key: prompt for prompt in prompts}.values())
    for forced in (False, True):
        kind = [prompt for prompt in distinct if (prompt.forced is not None) is forced]
        batch: list[TaskPrompt] = []
        steps = 0
        for prompt in sorted(kind, key=lambda p: (-len(p.tokens), p.key)):
            steps = max(steps, prompt.steps)
            longest = batch[0] if batch else prompt
            fits = limits.hold(len(batch) + 1, len(longest.tokens) + len(cells) * steps)
            if batch and not (fits and _methods(prompt, cells) == _methods(longest, cells)):
                yield batch
                batch, steps = [], prompt.steps
            batch.append(prompt)
        if batch:
            yield batch


def compute(engine: Engine, batch: Sequence[TaskPrompt], cells: Sequence[Cell], encoder: Encoder) -> list[Record]:
    """Run one batch under some cells, and make a record of every output."""
    outputs = engine.run(batch, _methods(batch[0], cells))
    return [
        _record(prompt, cell, output, encoder)
        for cell, of_cell in zip(cells, outputs, strict=True)
        for prompt, output in zip(batch, of_cell, strict=True)
    ]


def contradiction(record: Record, prompt: TaskPrompt) -> str:
    """Say what of a record cannot be an answer to a prompt; "" if nothing is wrong."""
    if record.example != prompt.request.example or record.prompt_tokens != len(prompt.tokens):
        return "it is of another prompt than the one that it is stored under"
    if prompt.forced is not None and tuple(record.tokens) != tuple(prompt.forced):
        return "its tokens are not those that were to be scored"
    return ""


def _methods(prompt: TaskPrompt, cells: Sequence[Cell]) -> list[Method[Any]]:
    """Return what each cell decodes a prompt with."""
    return [cell.method_at(len(prompt.tokens)) for cell in cells]


def _gaps(batch: Sequence[TaskPrompt], cells: Sequence[Cell], done: Collection[Key]) -> list[MicroBatch]:
    """Find the missing part of a batch: prompts that lack the same cells stay together."""
    gaps: dict[tuple[int, ...], list[TaskPrompt]] = defaultdict(list)
    for prompt in batch:
        gaps[tuple(i for i, cell in enumerate(cells) if (prompt.key, cell.id) not in done)].append(prompt)
    return [MicroBatch(prompts, [cells[i] for i in lacking]) for lacking, prompts in gaps.items() if lacking]


def _halves(items: Sequence[T]) -> tuple[Sequence[T], Sequence[T]]:
    middle = len(items) // 2
    return items[:middle], items[middle:]


def _record(prompt: TaskPrompt, cell: Cell, output: Output, encoder: Encoder) -> Record:
    request = prompt.request
    return Record(
        unit=prompt.key,
        cell=cell.id,
        example=request.example,
        tokens=output.tokens,
        nll=[round(value, 6) for value in output.nll],
        greedy=all(output.greedy),
        active=output.active,
        seconds=round(output.seconds, 6),
        prompt_tokens=len(prompt.tokens),
        text=encoder.text(request, output.tokens) if request.kind == "generate" else "",
        cut_tokens=prompt.lost,
        share=None if output.share is None else round(output.share, 9),
        divergence=None if output.divergence is None else DivergenceRecord(**output.divergence.record),
    )
