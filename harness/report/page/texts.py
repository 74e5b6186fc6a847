"""Samples examples to read side by side, with what every cell made of each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.report.load import Panel, Results
from harness.report.runs import Run
from harness.store.files import read_lines

MOST_EXAMPLES = 40
LONGEST = 600
"""Characters kept of one text."""
UNIT = re.compile(rb'"unit": ?"([^"\\]*)"')
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
    """Holds examples of one model and task, and how many there are in all."""

    examples: list[Example]
    of: int


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
    for run in results.behind(panels):
        _add_texts(found, panels[0].task, run)
    return Sample(list(_fitting(list(found.values()), characters)), len(ids))


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


def _add_texts(found: dict[str, Example], task: str, run: Run) -> None:
    """Add prompts and outputs of the sample, from the run that has them; requests of one example are joined."""
    units: dict[str, str] = {}
    for line in read_lines(run.folder / "examples.jsonl"):
        own, name = line.get("task"), line.get("example")
        example = found.get(str(name) if own == task else f"{own}/{name}")  # a group's examples are its members'
        if example is not None and "unit" in line:
            units[str(line["unit"])] = example.id
            example.prompt = _clip(line.get("prompt_tail", ""), end=True)
            example.gold = _clip(line.get("target") or line.get("continuation", ""))
    shards = sorted(run.folder.glob("outputs*.jsonl"))
    lines = (line for file in shards for line in _lines_of(file, units))
    latest = {(str(line["unit"]), str(line["cell"])): line for line in lines if "cell" in line}
    texts: dict[tuple[str, str], list[str]] = {}
    for (unit, cell), line in latest.items():
        texts.setdefault((units[unit], cell), []).append(str(line.get("text", "")))
    for (example_id, cell), parts in texts.items():
        found[example_id].outputs.setdefault(cell, _clip("\n".join(parts)))


def _lines_of(file: Path, units: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Read the whole records of some units. Only their lines are parsed: a file may hold a million."""
    if not file.exists() or not units:
        return
    wanted = {unit.encode() for unit in units}
    with file.open("rb") as stream:
        for line in stream:
            unit = UNIT.search(line)
            if unit and unit[1] in wanted:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # torn by a crash; the run made it again


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
