"""Makes tables of raw records: lm-eval scores replayed outputs, costs and divergence are added, cells compared."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd

from harness.evaluation.batches import Done
from harness.evaluation.decided import Example, find_decided
from harness.evaluation.inert import check_none_inert, find_inert, leave_out
from harness.evaluation.prompts import TaskPrompt
from harness.evaluation.repeats import sum_up
from harness.evaluation.replay import Reply, reply
from harness.evaluation.scores import Metric, Score, Scored
from harness.methods import Method
from harness.methods.cell import Cell
from harness.methods.controls.dense import Dense
from harness.methods.cost import ELEMENT, Costed, Stack
from harness.methods.ratio import Of
from harness.store.files import replacing, write_whole
from harness.store.records import Record
from harness.sweep.prepare import Prepared
from harness.tables.rows import CellFacts, Elements, example_facts, to_frame
from harness.tables.summary import summarise

RATIOS: Mapping[Of, str] = {"moved": "ratio", "held": "memory_ratio"}
"""The column of the ratio that knobs were solved for, by what that bounds."""


class Tables(NamedTuple):
    """Holds the summary of a run, and by cell the tasks in which its method changed nothing, which are not in it."""

    summary: pd.DataFrame
    inert: dict[Cell, list[str]]


def write_tables(prepared: Prepared, cells: Sequence[Cell], done: Done) -> Tables:
    """Score some cells, write rows.parquet and summary.csv. Raises RunError if no cell measured anything."""
    folder = prepared.folder
    dense = next((cell for cell in cells if cell.is_dense), None)
    summed = sum_up({cell.id: _score(prepared, cell, done) for cell in cells})
    scored = {cell: _measure(prepared, cell, dense, done, summed[cell.id]) for cell in cells}
    inert = {cell: found.inert for cell, found in scored.items() if found.inert}
    rows = [row for found in scored.values() for row in found.rows]
    if not rows:
        check_none_inert(inert)
    frame = to_frame(rows)
    with replacing(folder / "rows.parquet") as partial:
        frame.to_parquet(partial, index=False)
    summary = summarise(
        frame, dense.id if dense else None, _aggregates({cell.id: found.metrics for cell, found in scored.items()})
    )
    write_whole(folder / "summary.csv", summary.to_csv(index=False))
    return Tables(summary, inert)


class _Scored(NamedTuple):
    """Holds the rows of one cell, its metrics, and the tasks that it was inert in."""

    rows: list[dict[str, Any]]
    metrics: list[Metric]
    inert: list[str]


def _aggregates(metrics: Mapping[str, Sequence[Metric]]) -> dict[tuple[str, str, str], float]:
    """Collect lm-eval's aggregates by (task, cell, metric), of metrics that are no mean of examples under some cell."""
    no_mean = {(m.task, m.name) for of_cell in metrics.values() for m in of_cell if not m.is_mean}
    every = ((cell, metric) for cell, of_cell in metrics.items() for metric in of_cell)
    return {(m.task, cell, m.name): m.aggregate for cell, m in every if (m.task, m.name) in no_mean}


def _measure(prepared: Prepared, cell: Cell, dense: Cell | None, done: Done, scored: Scored) -> _Scored:
    """Make the rows of one cell: its scores, with costs and divergence from dense."""
    by_example = _records_by_example(prepared.prompts, cell, done)
    active = {example for example, records in by_example.items() if any(record.active for record in records)}
    inert = set() if cell.is_dense else find_inert(scored.scores, active)
    scores, metrics = leave_out(scored, inert)
    better = {(m.task, m.name): m.higher_is_better for m in metrics}
    facts = _facts(prepared, cell)
    dense_by_example = _records_by_example(prepared.prompts, dense, done) if dense else {}
    decided = decided_before(prepared, cell, done)
    common = {
        example: example_facts(facts, records, dense_by_example.get(example)) | {"decided": example in decided}
        for example, records in by_example.items()
    }
    labels = {(prompt.request.task, prompt.request.example): prompt.request.labels for prompt in prepared.prompts}
    rows = [
        {**labels[s.task, s.example], **common[s.task, s.example], **_name(s), "metric": s.metric, "value": s.value}
        | {"higher_is_better": better[s.group or s.task, s.metric]}
        for s in scores
    ]
    return _Scored(rows, metrics, [task for task, _ in inert])


def decided_before(prepared: Prepared, cell: Cell, done: Done) -> set[Example]:
    """Find the examples whose score was decided before the cell's method acted: none if it has its own prefill."""
    if any(cell.method_at(len(prompt.tokens)).own_prefill for prompt in prepared.prompts):
        return set()
    answered = ((prompt, done[prompt.key, cell.id]) for prompt in prepared.prompts if (prompt.key, cell.id) in done)
    return find_decided(answered, prepared.encoder)


def _name(score: Score) -> dict[str, str]:
    """Name a row's task and example; in the table of a group the example carries the name of its task."""
    return {"task": score.group, "example": f"{score.task}/{score.example}"} if score.group else {"task": score.task}


def _facts(prepared: Prepared, cell: Cell) -> CellFacts:
    layers, lengths = prepared.checkpoint.layers, {len(prompt.tokens) for prompt in prepared.prompts}
    labels: dict[str, Any] = {"model": prepared.job.model.name, "run": prepared.folder.name, "method": cell.name}
    labels |= {"cell": cell.id, "params": cell.params_at(lengths), "dtype": prepared.job.model.dtype}
    ratios: dict[str, float] = {} if cell.ratio is None else {RATIOS[cell.bounds]: cell.ratio}
    labels |= {name: ratios.get(name, math.nan) for name in RATIOS.values()} | {"per": cell.per or ""}
    method, stack = cell.method_at(min(lengths)), Stack(tuple(layers))
    labels["cost"] = how_known(method)
    own = {n: _elements(stack, cell.method_at(n), n) for n in lengths}
    dense = {n: _elements(stack, Dense(), n) for n in lengths}
    return CellFacts(labels, cell.params_at, own, dense, prepared.checkpoint.bytes_per_element, method.measured)


def _elements(stack: Stack, method: Costed, n: int) -> Elements:
    """Count what a method moves and holds over all layers at n cached tokens."""
    cost = stack.cost(method, n)
    return Elements(cost.moved / ELEMENT, cost.held / ELEMENT)


def how_known(method: Method[Any]) -> str:
    """Say how it is known what a method moves, in the words of the column `cost`."""
    said = {"measured": method.measured, "simulated": method.simulated, "oracle": method.oracle}
    return ", ".join(word for word, holds in said.items() if holds) or "formula"


def _records_by_example(prompts: Sequence[TaskPrompt], cell: Cell, done: Done) -> dict[tuple[str, str], list[Record]]:
    found: dict[tuple[str, str], list[Record]] = defaultdict(list)
    for prompt in prompts:
        if (prompt.key, cell.id) in done:
            found[prompt.request.task, prompt.request.example].append(done[prompt.key, cell.id])
    return found


def _score(prepared: Prepared, cell: Cell, done: Done) -> list[Scored]:
    """Let lm-eval score one cell's outputs, repeat by repeat."""
    replies = _replies(prepared, cell, done)
    questions = prepared.suite.requests
    of_rounds = (zip(questions, asked, strict=True) for asked in prepared.rounds)
    return [prepared.suite.score({q.key: replies[r.key] for q, r in pairs if r.key in replies}) for pairs in of_rounds]


def _replies(prepared: Prepared, cell: Cell, done: Done) -> dict[str, Reply]:
    """Collect what lm-eval would have got from the model, by request; requests that failed are left out."""
    parts: dict[str, list[TaskPrompt]] = defaultdict(list)
    for prompt in prepared.prompts:
        parts[prompt.request.key].append(prompt)
    return {
        key: reply([done[prompt.key, cell.id] for prompt in prompts], prompts[0].request.kind)
        for key, prompts in parts.items()
        if all((prompt.key, cell.id) in done for prompt in prompts)
    }
