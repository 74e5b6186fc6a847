"""Asks lm-eval's tasks once and scores them once per cell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import lm_eval
from lm_eval.evaluator_utils import get_sample_size
from lm_eval.tasks import TaskManager

from harness.errors import InputError
from harness.evaluation.replay import Place, Replay, Reply
from harness.evaluation.requests import Request, example_id, to_request

FEWSHOT_SEED = 1234  # lm-eval's own default
TYPICAL = 128
"""Examples of a task, its first, that stand for all when knobs are solved."""


@dataclass(frozen=True)
class Score:
    """Holds one metric of one example; NaN where only lm-eval's aggregate is a number (perplexities)."""

    task: str
    example: str
    metric: str
    value: float


@dataclass(frozen=True)
class Metric:
    """Describes a metric of a task; `aggregate` is lm-eval's own number where it is not the mean of the examples."""

    task: str
    name: str
    higher_is_better: bool
    aggregate: float | None = None


class Scored(NamedTuple):
    """Holds the scores that lm-eval gave the replies of one cell, and what its metrics are."""

    scores: list[Score]
    metrics: list[Metric]


class Placed(NamedTuple):
    """Holds a request and its place in lm-eval."""

    request: Request
    place: Place


class Suite:
    """Holds one lm-eval task, or the tasks of a group."""

    def __init__(self, tasks: Mapping[str, Any], limit: int | float | None) -> None:
        self._tasks = dict(tasks)
        limits = {name: get_sample_size(task, limit) for name, task in self._tasks.items()}
        built = self._build(limits)
        self._placed = [p for p in built if _within(p.place, limits[p.request.task])]
        self.typical = [p.request for p in built if p.place.document < TYPICAL]
        """Questions of each task's first 128 examples, whatever the limit."""

    @property
    def requests(self) -> list[Request]:
        """List every question of the first `limit` examples of each task, a share of them if it is below 1."""
        return [placed.request for placed in self._placed]

    def score(self, replies: Mapping[str, Reply]) -> Scored:
        """Let lm-eval score the replies, given by Request.key; examples of which one is missing are left out."""
        asked = {(r.task, place.document) for r, place in self._placed}
        there = asked - {(r.task, place.document) for r, place in self._placed if r.key not in replies}
        samples = {name: sorted(doc for task, doc in there if task == name) for name in self._tasks}
        tasks = {name: task for name, task in self._tasks.items() if samples[name]}
        # lm-eval counts the chosen documents anew, from 0
        anew = {(name, doc): i for name, docs in samples.items() for i, doc in enumerate(docs)}
        answers = {
            place._replace(document=anew[r.task, place.document]): replies[r.key]
            for r, place in self._placed
            if (r.task, place.document) in there
        }
        results = lm_eval.evaluate(
            lm=Replay(answers), task_dict=self._task_dict(tasks), samples=samples, bootstrap_iters=0, log_samples=True
        )
        scores = [s for name in tasks for sample in results["samples"][name] for s in self._scores(name, sample)]
        return Scored(scores, [m for name in tasks for m in _metrics(name, results, scores)])

    def _build(self, limits: Mapping[str, int | None]) -> list[Placed]:
        """Build the requests of the first examples of each task."""
        built = []
        for name, task in self._task_dict(self._tasks)["tasks"].items():
            limit = limits[name]
            task.build_all_requests(limit=None if limit is None else max(limit, TYPICAL), rank=0, world_size=1)
            for i in task.instances:
                built.append(Placed(to_request(name, task, i), Place(i.task_name, i.doc_id, i.idx)))
        return built

    def _task_dict(self, tasks: Mapping[str, Any]) -> dict[str, Any]:
        """Collect the tasks, their few-shot samplers rewound so that every build draws the same examples."""
        for task in tasks.values():
            task.set_fewshot_seed(seed=FEWSHOT_SEED)
        return {"tasks": dict(tasks), "groups": {}, "group_map": {}}

    def _scores(self, name: str, sample: Mapping[str, Any]) -> list[Score]:
        example = example_id(sample["doc"], sample["doc_id"])
        return [
            Score(name, example, _metric_name(metric, sample["filter"]), _number(sample[metric]))
            for metric in sample["metrics"]
        ]


def load_paper_task(name: str, folder: Path, arguments: Mapping[str, Any]) -> Any:
    """Load a task of the project's own YAML folder, whose construction is called with `arguments`."""
    manager = TaskManager(include_path=str(folder), include_defaults=False)
    return _load(manager, name, {"dataset_kwargs": dict(arguments)})[name]


def most_new_tokens(name: str, folder: Path) -> int | None:
    """Return how many tokens a task of the project's own YAML folder decodes at most; None if it scores given texts."""
    config = TaskManager(include_path=str(folder), include_defaults=False).task_index[name].cfg or {}
    rule = config["metadata"].get("new_tokens")
    return int(rule["at_most"]) if rule else None


def load_shipped_task(name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Load a task or group that lm-eval ships. Raises InputError for an unknown name or unreachable data."""
    manager = TaskManager()
    if name not in manager.all_tasks:
        near = ", ".join(sorted(t for t in manager.all_tasks if t.startswith(name[:4]))[:5]) or "see `lm-eval ls tasks`"
        raise InputError(f"lm-eval has no task '{name}' (close: {near})")
    try:
        return _load(manager, name, overrides)
    except (OSError, ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise InputError(
            f"task {name}: its data cannot be loaded ({first_line}): check the network, or name local files in "
            "task.overrides (dataset_path, dataset_kwargs)"
        ) from None


def _load(manager: TaskManager, name: str, overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Load tasks by name. Only as the member of a group does lm-eval lay overrides over a registered YAML."""
    return dict(manager.load({"group": "harness", "task": [{"task": name, **overrides}]})["tasks"])


def _within(place: Place, limit: int | None) -> bool:
    return limit is None or place.document < limit


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan


def _metric_name(metric: str, filter_name: str) -> str:
    return metric if filter_name == "none" else f"{metric},{filter_name}"


def _metrics(name: str, results: Mapping[str, Any], scores: Sequence[Score]) -> list[Metric]:
    found = []
    for key, value in results["results"][name].items():
        metric, _, filter_name = key.partition(",")
        better = results["higher_is_better"][name].get(metric)
        if better is None or not isinstance(value, (int, float)):
            continue
        label = _metric_name(metric, filter_name)
        values = [s.value for s in scores if s.task == name and s.metric == label]
        is_mean = bool(values) and math.isclose(sum(values) / len(values), value, rel_tol=1e-6, abs_tol=1e-9)
        found.append(Metric(name, label, bool(better), None if is_mean else float(value)))
    return found
