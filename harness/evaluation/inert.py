"""Refuses scores under a method's name that are dense attention's: of tasks in which the method changed nothing."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from harness.errors import RunError
from harness.evaluation.scores import Score, Scored
from harness.methods.cell import Cell

Line = tuple[str, str]
"""(task, metric): a line of a cell's table; a group is a task here."""
MOST_LISTED = 5


def find_inert(scores: Collection[Score], active: Collection[tuple[str, str]]) -> set[Line]:
    """Find the lines none of whose examples is among the `active` (task, example), and those of groups that hold one.

    Each is judged by itself: a metric may be about some examples of a task only, such as those of one length.
    """
    found: dict[Line, bool] = defaultdict(bool)
    for score in scores:
        if not score.group:
            found[score.task, score.metric] |= (score.task, score.example) in active
    inert = {line for line, is_active in found.items() if not is_active}
    return inert | {(s.group, s.metric) for s in scores if s.group and (s.task, s.metric) in inert}


def leave_out(scored: Scored, inert: Collection[Line]) -> Scored:
    """Leave out the scores and the metrics of some lines."""
    return Scored(
        [score for score in scored.scores if (score.group or score.task, score.metric) not in inert],
        [metric for metric in scored.metrics if (metric.task, metric.name) not in inert],
    )


def check_none_inert(inert: Mapping[Cell, Iterable[str]]) -> None:
    """Raise RunError for cells that measured nothing in some tasks."""
    cells = [f"cell {cell.id} ({cell.params}) on {', '.join(sorted(set(tasks)))}" for cell, tasks in inert.items()]
    if cells:
        more = f"; and {len(cells) - MOST_LISTED} more" if len(cells) > MOST_LISTED else ""
        raise RunError(
            f"inert: {'; '.join(cells[:MOST_LISTED])}{more}: no attention output ever changed, so these would be dense "
            "scores and are in no table. Use longer prompts, a higher ratio, or a task that decodes more than one token"
        )
