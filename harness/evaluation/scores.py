"""Reads what lm-eval computed of the replies of one cell: scores of examples, and metrics of tasks and groups."""

from __future__ import annotations

import contextlib
import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

MARKER = -1.0
"""What some tasks of lm-eval give an example that a metric is not about, such as a metric of another length."""


@dataclass(frozen=True)
class Score:
    """Holds one metric of one example; NaN where only lm-eval's aggregate is a number (perplexities).

    `group` names the group whose table the score stands in too, or "".
    """

    task: str
    example: str
    metric: str
    value: float
    group: str = ""


@dataclass(frozen=True)
class Metric:
    """Describes a metric of a task or group: lm-eval's own number, and whether that is the mean of the examples."""

    task: str
    name: str
    higher_is_better: bool
    aggregate: float
    is_mean: bool


class Scored(NamedTuple):
    """Holds the scores that lm-eval gave the replies of one cell, and what its metrics are."""

    scores: list[Score]
    metrics: list[Metric]


def read_scored(
    results: Mapping[str, Any], tasks: Mapping[str, Any], groups: Mapping[str, Any], ids: Mapping[tuple[str, int], str]
) -> Scored:
    """Read the results of tasks and of groups whose members are all there; `ids` names examples by (task, document).

    Metrics that a task computes count, whether its YAML lists them or not; markers of examples that a metric is not
    about do not.
    """
    scores = [score for name, task in tasks.items() for score in _scores(results, name, task, ids)]
    metrics = [metric for name in tasks for metric in _metrics(results, name, scores)]
    found = {(metric.task, metric.name) for metric in metrics}
    scores = [score for score in scores if (score.task, score.metric) in found]
    for name, group in groups.items():
        members = [task.task_name for task in group.get_all_tasks()]
        if all(member in tasks for member in members):
            of_group = [*_of_group(results, name, members, scores)]
            scores += of_group
            metrics += _metrics(results, name, of_group)
    return Scored(scores, metrics)


def _scores(results: Mapping[str, Any], name: str, task: Any, ids: Mapping[tuple[str, int], str]) -> Iterator[Score]:
    """Read the scores of a task's examples, without markers."""
    marked: dict[str, bool] = {}
    for sample in results["samples"][name]:
        for metric in sample["metrics"]:
            value = _number(sample[metric])
            if value == MARKER and marked.setdefault(metric, _skips_markers(task.aggregation().get(metric))):
                continue
            yield Score(name, ids[name, sample["doc_id"]], _label(metric, sample["filter"]), value)


def _of_group(
    results: Mapping[str, Any], group: str, members: Sequence[str], scores: Sequence[Score]
) -> Iterator[Score]:
    """Repeat the members' scores under the group's name, for metrics that lm-eval aggregates over scores alone."""
    for key, value in results["results"][group].items():
        if _is_metric(key, value):
            label = _label(*key.split(",", 1))
            of_metric = [score for score in scores if score.metric == label and score.task in members]
            if {score.task for score in of_metric} == {name for name in members if key in results["results"][name]}:
                for score in of_metric:
                    yield replace(score, group=group)


def _metrics(results: Mapping[str, Any], name: str, scores: Iterable[Score]) -> Iterator[Metric]:
    """Read the metrics of a task or group that has scores."""
    values: dict[str, list[float]] = {}
    for score in scores:
        if name == (score.group or score.task):
            values.setdefault(score.metric, []).append(score.value)
    for key, value in results["results"][name].items():
        label = _label(*key.split(",", 1)) if _is_metric(key, value) else None
        if label in values:
            mean = sum(values[label]) / len(values[label])
            is_mean = math.isclose(mean, value, rel_tol=1e-6, abs_tol=1e-9)
            better = _higher_is_better(results, name, key.split(",", 1)[0])
            yield Metric(name, label, better, float(value), is_mean)


def _higher_is_better(results: Mapping[str, Any], name: str, metric: str) -> bool:
    """Return a metric's direction; that of the task's other metrics if its YAML does not list it, or else up."""
    known = results["higher_is_better"].get(name) or {}
    others = {better for better in known.values() if better is not None}
    better = known.get(metric)
    return bool(others == {True} or others != {False} if better is None else better)


def _skips_markers(aggregation: Any) -> bool:
    """Say if an aggregation leaves markers out, so that they are no scores."""
    with contextlib.suppress(Exception):  # an aggregation of other values than numbers
        return bool(aggregation([MARKER, 0.0]) == 0 and aggregation([MARKER, 1.0]) == 1)
    return False


def _is_metric(key: str, value: Any) -> bool:
    return "," in key and isinstance(value, numbers.Real)


def _label(metric: str, filter_name: str) -> str:
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def _number(value: Any) -> float:
    return float(value) if isinstance(value, numbers.Real) else math.nan
