"""Decides which runs may stand in one report: one protocol, and one set of examples per model and task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

from harness.report.runs import Run


class Comparable(NamedTuple):
    """Holds runs that may be compared, and a sentence on each one that is left out or repeats another."""

    runs: list[Run]
    notices: list[str]


def reconcile(runs: Sequence[Run]) -> Comparable:
    """Choose the runs to report. Numbers of different runs are never averaged."""
    kept = _one_protocol(runs)
    by_subject = groupby(sorted(kept.runs, key=_subject), key=_subject)
    parts = [_one_question(list(group)) for _, group in by_subject]
    chosen = [run for part in parts for run in part.runs]
    return Comparable(chosen, kept.notices + [sentence for part in parts for sentence in part.notices])


def _subject(run: Run) -> tuple[str, str, str]:
    tasks = ",".join(sorted(run.summary["task"].astype(str).unique()))
    return str(run.summary["model"].iloc[0]), run.data, tasks


def _one_protocol(runs: Sequence[Run]) -> Comparable:
    newest = max(run.protocol for run in runs)
    notices = [
        f"{run.name} is left out: protocol {run.protocol}, and the others follow protocol {newest}; "
        "scores of different protocols are not comparable"
        for run in runs
        if run.protocol != newest
    ]
    return Comparable([run for run in runs if run.protocol == newest], notices)


def _one_question(runs: Sequence[Run]) -> Comparable:
    """Choose of runs on one model and task those that asked what the largest did; the name decides between equals."""
    largest = min(runs, key=lambda run: (-len(run.examples), -int(run.summary["n"].max()), run.name))
    same = [run for run in runs if run.question == largest.question]
    notices = [
        f"{run.name} is left out: other examples or settings than {largest.name} for the same model and task "
        f"(report it alone with `harness report {run.folder}`)"
        for run in runs
        if run.question != largest.question
    ]
    ordered = [largest, *(run for run in same if run is not largest)]
    return Comparable(ordered, notices + _repeats(ordered))


def _repeats(runs: Iterable[Run]) -> list[str]:
    """Name each run whose cells another run, reported before it, has too."""
    seen: set[str] = set()
    notices = []
    for run in runs:
        cells = set(run.summary["cell"].astype(str))
        if seen & cells:
            notices.append(
                f"{run.name} repeats {len(seen & cells)} cells of another run: those of the first are shown, "
                "none is averaged"
            )
        seen |= cells
    return notices
