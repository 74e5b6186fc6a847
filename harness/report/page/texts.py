"""Samples examples to read side by side, with what every cell made of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from harness.report.load import Panel, Results
from harness.report.runs import Run
from harness.store.lines import read_answers, read_asked
from harness.store.notes import Notes

MOST_EXAMPLES = 40
LONGEST = 600
"""Characters kept of one text."""
SEED = 0


@dataclass
class Example:
    """Holds one question, its answers by cell, and scores by metric and cell.

    `first` is the index of the first generated token that differs from dense, by cell.
    """

    id: str
    prompt: str = ""
    gold: str = ""
    outputs: dict[str, str] = field(default_factory=dict)
    scores: dict[str, dict[str, float]] = field(default_factory=dict)
    first: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Sample:
    """Holds examples of one model and task, how many there are in all, and in sentences what could not be read."""

    examples: list[Example]
    of: int
    unused: list[str]


def sample(results: Results, panels: Sequence[Panel], characters: int) -> Sample:
    """Draw examples of a model and task at random (seed 0), at most 40 and as many as fit `characters`.

    `panels` are its panels, one per metric.
    """
    rows = {p: results.rows(p, ["example", "cell", "value"], optional=["first_difference"]) for p in panels}
    ids = sorted({str(example) for frame in rows.values() for example in frame.get("example", pd.Series(dtype=str))})
    chosen = _choose(ids)
    found = {example: Example(example) for example in chosen}
    for panel, frame in rows.items():
        _add_scores(found, panel, frame[frame["example"].isin(chosen)] if len(frame) else frame)
    notes = Notes()
    for run in results.behind(panels):
        _add_texts(found, panels[0].task, run, notes)
    return Sample(list(_fitting(list(found.values()), characters)), len(ids), notes.sentences())


def _choose(ids: list[str]) -> list[str]:
    if len(ids) <= MOST_EXAMPLES:
        return ids
    return sorted(np.random.default_rng(SEED).choice(np.array(ids, dtype=object), MOST_EXAMPLES, replace=False))


def _add_scores(found: dict[str, Example], panel: Panel, rows: pd.DataFrame) -> None:
    for line in rows.to_dict("records"):
        example, cell = found[str(line["example"])], str(line["cell"])
        example.scores.setdefault(panel.metric, {})[cell] = round(float(line["value"]), 4)
        if np.isfinite(line.get("first_difference", np.nan)):
            example.first[cell] = int(line["first_difference"])


def _add_texts(found: dict[str, Example], task: str, run: Run, notes: Notes) -> None:
    """Add prompts and outputs of the sample, from the run that has them; requests of one example are joined."""
    units: dict[str, str] = {}
    for asked in read_asked(run.folder, notes):
        # A group's examples are its members'.
        example = found.get(asked.example if asked.task == task else f"{asked.task}/{asked.example}")
        if example is not None:
            units[asked.unit] = example.id
            example.prompt = _clip(asked.prompt_tail, end=True)
            example.gold = _clip(asked.target or asked.continuation)
    latest = {(answer.unit, answer.cell): answer.text for answer in read_answers(run.folder, units, notes)}
    texts: dict[tuple[str, str], list[str]] = {}
    for (unit, cell), text in latest.items():
        texts.setdefault((units[unit], cell), []).append(text)
    for (example_id, cell), parts in texts.items():
        found[example_id].outputs.setdefault(cell, _clip("\n".join(parts)))


def _clip(text: str, end: bool = False) -> str:
    if len(text) <= LONGEST:
        return text
    return "…" + text[-LONGEST:] if end else text[:LONGEST] + "…"


def _fitting(examples: list[Example], characters: int) -> Iterator[Example]:
    used = 0
    for example in examples:
        used += len(example.prompt) + len(example.gold) + sum(len(text) + 60 for text in example.outputs.values())
        if used > characters:
            return
        yield example
